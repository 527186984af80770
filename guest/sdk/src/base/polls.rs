//! The pollables of one event base.
//!
//! They stay from one wake-up to the next: whoever waits for the same thing again does nothing.

use super::source::{Interest, Source};
use crate::slab::{Key, Slab};
use std::rc::{Rc, Weak};
use wasi::clocks::monotonic_clock;
use wasi::io::poll::{self, Pollable};

/// Close together, so that a poll runs over one array. `places` says where a key's pollable is now.
#[derive(Default)]
pub struct Polls {
    pollables: Vec<Pollable>,
    entries: Vec<Entry>,
    places: Slab<usize>,
    /// Room for the references that `poll` takes. Empty but for the time of a call.
    room: Vec<&'static Pollable>,
}

struct Entry {
    key: Key,
    source: Weak<dyn Source>,
    interest: Interest,
}

impl Polls {
    /// Wait for `pollable` too, and tell `source` when it is ready.
    pub fn add(&mut self, pollable: Pollable, source: Weak<dyn Source>, interest: Interest) -> Key {
        let key = self.places.add(self.pollables.len());
        self.pollables.push(pollable);
        self.entries.push(Entry {
            key,
            source,
            interest,
        });
        key
    }

    /// Wait for it no more. The pollable is to be dropped before what it is a child of.
    pub fn remove(&mut self, key: Key) -> Option<Pollable> {
        let place = self.places.remove(key)?;
        let pollable = self.pollables.swap_remove(place);
        self.entries.swap_remove(place);
        if let Some(moved) = self.entries.get(place) {
            let moved_place = self.places.get_mut(moved.key);
            *moved_place.expect("each entry has a place") = place;
        }
        Some(pollable)
    }

    pub fn is_empty(&self) -> bool {
        self.pollables.is_empty()
    }

    /// Wait until something is ready, these or one of `others`, and put the keys of the former into
    /// `ready`.
    pub fn poll(&mut self, others: [Option<&Pollable>; 2], ready: &mut Vec<Key>) {
        let mut list = reuse(std::mem::take(&mut self.room));
        list.extend(&self.pollables);
        list.extend(others.into_iter().flatten());
        let indices = poll::poll(&list);
        self.room = reuse(list);
        let entries = &self.entries;
        let keys = indices
            .into_iter()
            .filter_map(|index| Some(entries.get(index as usize)?.key));
        ready.extend(keys);
    }

    /// Wait for this one alone, which was ready a moment ago; for a millisecond if it is not any more.
    pub fn poll_one(&self, key: Key) {
        if let Some(place) = self.places.get(key) {
            let timer = monotonic_clock::subscribe_duration(1_000_000);
            poll::poll(&[&self.pollables[*place], &timer]);
        }
    }

    /// Who is to be told that what this key stands for is ready. None if it was removed meanwhile.
    pub fn waiter(&self, key: Key) -> Option<(Rc<dyn Source>, Interest)> {
        let entry = &self.entries[*self.places.get(key)?];
        Some((entry.source.upgrade()?, entry.interest))
    }
}

/// The same room, for references of another lifetime. Collecting an iterator of a vector into a
/// vector of the same layout takes no new room.
fn reuse<'a, T>(mut list: Vec<&T>) -> Vec<&'a T> {
    list.clear();
    let nothing = |_| unreachable!("the list is empty");
    list.into_iter().map(nothing).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn room_is_used_again() {
        let mut list = Vec::with_capacity(1000);
        let value = 1;
        list.push(&value);
        let place = list.as_ptr() as usize;
        let again: Vec<&i32> = reuse(list);
        assert_eq!(again.as_ptr() as usize, place);
        assert_eq!((again.len(), again.capacity()), (0, 1000));
    }
}
