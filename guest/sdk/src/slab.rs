//! A collection whose entries keep their keys while others are added and removed.

/// The key of an entry. Keys are not reused: one whose entry was removed is never valid again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Key {
    index: usize,
    generation: u64,
}

/// A collection in which adding, finding and removing take constant time.
pub struct Slab<T> {
    slots: Vec<Slot<T>>,
    free: Vec<usize>,
    generation: u64,
}

struct Slot<T> {
    generation: u64,
    value: Option<T>,
}

impl<T> Default for Slab<T> {
    fn default() -> Self {
        Self {
            slots: Vec::new(),
            free: Vec::new(),
            generation: 0,
        }
    }
}

impl<T> Slab<T> {
    pub fn add(&mut self, value: T) -> Key {
        self.generation += 1;
        let slot = Slot {
            generation: self.generation,
            value: Some(value),
        };
        let index = match self.free.pop() {
            Some(index) => {
                self.slots[index] = slot;
                index
            }
            None => {
                self.slots.push(slot);
                self.slots.len() - 1
            }
        };
        Key {
            index,
            generation: self.generation,
        }
    }

    pub fn get(&self, key: Key) -> Option<&T> {
        let slot = self.slots.get(key.index)?;
        (slot.generation == key.generation).then_some(slot.value.as_ref())?
    }

    pub fn get_mut(&mut self, key: Key) -> Option<&mut T> {
        let slot = self.slots.get_mut(key.index)?;
        (slot.generation == key.generation).then_some(slot.value.as_mut())?
    }

    pub fn remove(&mut self, key: Key) -> Option<T> {
        let slot = self.slots.get_mut(key.index)?;
        if slot.generation != key.generation {
            return None;
        }
        let value = slot.value.take()?;
        self.free.push(key.index);
        Some(value)
    }

    /// Removes all entries and returns them.
    pub fn take_all(&mut self) -> Vec<T> {
        self.free.clear();
        self.slots.drain(..).filter_map(|slot| slot.value).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_removed_key_is_not_valid_for_a_later_entry() {
        let mut slab = Slab::default();
        let first = slab.add("first");
        assert_eq!(slab.remove(first), Some("first"));
        let second = slab.add("second");
        assert_eq!(first.index, second.index, "the slot is reused");
        assert_eq!(slab.get(first), None);
        assert_eq!(slab.remove(first), None);
        assert_eq!(slab.get(second), Some(&"second"));
    }

    #[test]
    fn a_key_from_before_take_all_is_not_valid() {
        let mut slab = Slab::default();
        let key = slab.add("old");
        assert_eq!(slab.take_all(), ["old"]);
        let new = slab.add("new");
        assert_eq!(slab.get(key), None);
        assert_eq!(slab.get(new), Some(&"new"));
    }
}
