//! The pollables of one event base.
//!
//! They stay registered from one poll to the next, so that a source which waits for the same thing again
//! makes no call.

use crate::slab::{Key, Slab};
use wasi::clocks::monotonic_clock;
use wasi::io::poll::{self, Pollable};

/// For how long [`Polls::poll_one`] waits at most, in nanoseconds.
const POLL_ONE_TIMEOUT: u64 = 1_000_000;

/// Pollables, each with a waiter `W`. They are stored contiguously, so that a poll runs over one array.
pub struct Polls<W> {
    pollables: Vec<Pollable>,
    entries: Vec<Entry<W>>,
    /// The index of each pollable, by its key.
    positions: Slab<usize>,
    /// The references that `poll` takes. Empty except during a call.
    references: Vec<&'static Pollable>,
}

struct Entry<W> {
    key: Key,
    waiter: W,
}

impl<W> Default for Polls<W> {
    fn default() -> Self {
        Self {
            pollables: Vec::new(),
            entries: Vec::new(),
            positions: Slab::default(),
            references: Vec::new(),
        }
    }
}

impl<W> Polls<W> {
    pub fn add(&mut self, pollable: Pollable, waiter: W) -> Key {
        let key = self.positions.add(self.pollables.len());
        self.pollables.push(pollable);
        self.entries.push(Entry { key, waiter });
        key
    }

    /// Removes a pollable. The caller drops it before its parent resource.
    pub fn remove(&mut self, key: Key) -> Option<Pollable> {
        let position = self.positions.remove(key)?;
        let pollable = self.pollables.swap_remove(position);
        self.entries.swap_remove(position);
        if let Some(moved) = self.entries.get(position) {
            let moved_position = self.positions.get_mut(moved.key);
            *moved_position.expect("each entry has a position") = position;
        }
        Some(pollable)
    }

    pub fn is_empty(&self) -> bool {
        self.pollables.is_empty()
    }

    /// Waits until one of these pollables or of `others` is ready, and appends the keys of the former to
    /// `ready`.
    pub fn poll(&mut self, others: [Option<&Pollable>; 2], ready: &mut Vec<Key>) {
        let mut list = reuse(std::mem::take(&mut self.references));
        list.extend(&self.pollables);
        list.extend(others.into_iter().flatten());
        let indices = poll::poll(&list);
        self.references = reuse(list);
        let entries = &self.entries;
        let keys = indices
            .into_iter()
            .filter_map(|index| Some(entries.get(index as usize)?.key));
        ready.extend(keys);
    }

    /// Waits for one pollable, for up to a millisecond.
    pub fn poll_one(&self, key: Key) {
        if let Some(position) = self.positions.get(key) {
            let timer = monotonic_clock::subscribe_duration(POLL_ONE_TIMEOUT);
            poll::poll(&[&self.pollables[*position], &timer]);
        }
    }

    /// Returns the waiter of a pollable, or None if the pollable was removed.
    pub fn waiter(&self, key: Key) -> Option<&W> {
        let position = self.positions.get(key)?;
        Some(&self.entries[*position].waiter)
    }
}

/// Reuses a vector's allocation for references of another lifetime. Collecting an iterator over a vector
/// into a vector of the same layout does not allocate.
fn reuse<'a, T>(mut list: Vec<&T>) -> Vec<&'a T> {
    list.clear();
    let nothing = |_| unreachable!("the list is empty");
    list.into_iter().map(nothing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_allocation_is_reused() {
        let mut list = Vec::with_capacity(1000);
        let value = 1;
        list.push(&value);
        let address = list.as_ptr() as usize;
        let again: Vec<&i32> = reuse(list);
        assert_eq!(again.as_ptr() as usize, address);
        assert_eq!((again.len(), again.capacity()), (0, 1000));
    }
}
