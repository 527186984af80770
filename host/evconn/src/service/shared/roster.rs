//! Which instance a connection goes to.

use crate::InstancePolicy;
use slab::Slab;

/// The instances that there are, with the connections that they have.
#[derive(Debug)]
pub struct Roster<I, C> {
    policy: InstancePolicy,
    entries: Slab<Entry<I, C>>,
    /// Whether the service was replaced: its instances end when their connections have.
    is_retired: bool,
}

#[derive(Debug)]
struct Entry<I, C> {
    instance: I,
    connections: Slab<C>,
    /// How many connections were taken away from its guest, which still has something of them.
    cut: usize,
    /// How many connections it was given. None: it was made ahead.
    given: u32,
    /// Whether it waits for its first one.
    is_ready: bool,
    /// It ends, and gets no more connections.
    ends: bool,
}

/// What a connection gets.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Choice {
    /// The instance with this key.
    Existing(usize),
    /// One that has to be made.
    New,
    /// None, until a connection or an instance has ended.
    Wait,
}

impl<I, C> Roster<I, C> {
    pub fn new(policy: InstancePolicy) -> Self {
        Self {
            policy,
            entries: Slab::new(),
            is_retired: false,
        }
    }

    /// Chooses the instance of a connection: the one that has the fewest, if one may have another; then one that was
    /// made ahead; and then a new one, or if there may be none, one that is being made ahead.
    pub fn choose(&self) -> Choice {
        let may_have_another = |entry: &Entry<I, C>| {
            let is_full = entry.connections.len() + entry.cut >= self.concurrency();
            !entry.ends && !is_full && self.policy.allows_another(entry.given)
        };
        let usable = self
            .entries
            .iter()
            .filter(|(_, entry)| may_have_another(entry));
        let load = |(_, entry): &(usize, &Entry<I, C>)| {
            let is_unused = entry.given == 0;
            (
                is_unused,
                is_unused && !entry.is_ready,
                entry.connections.len(),
            )
        };
        let is_slow = |entry: &Entry<I, C>| entry.given == 0 && !entry.is_ready;
        match usable.min_by_key(load) {
            // It is being made at a low priority.
            Some((_, entry)) if is_slow(entry) && self.has_space() => Choice::New,
            Some((key, _)) => Choice::Existing(key),
            None if self.has_space() => Choice::New,
            None => Choice::Wait,
        }
    }

    /// Returns how many connections an instance has at a time.
    fn concurrency(&self) -> usize {
        self.policy.concurrency.get() as usize
    }

    /// Returns whether another instance may be made.
    pub fn has_space(&self) -> bool {
        let most = self.policy.max_instances;
        most.is_none_or(|most| self.entries.len() < most.get())
    }

    /// Returns how many instances were made ahead and have no connection yet.
    pub fn ready(&self) -> usize {
        let is_ready = |(_, entry): &(usize, &Entry<I, C>)| entry.given == 0 && !entry.ends;
        self.entries.iter().filter(is_ready).count()
    }

    /// Adds an instance that has no connection yet. Returns its key.
    pub fn add(&mut self, instance: I) -> usize {
        self.entries.insert(Entry {
            instance,
            connections: Slab::new(),
            cut: 0,
            given: 0,
            is_ready: false,
            ends: false,
        })
    }

    /// Notes that an instance waits for connections.
    pub fn set_ready(&mut self, key: usize) {
        if let Some(entry) = self.entries.get_mut(key) {
            entry.is_ready = true;
        }
    }

    pub fn instance(&self, key: usize) -> Option<&I> {
        self.entries.get(key).map(|entry| &entry.instance)
    }

    /// Gives a connection to an instance. Returns the connection's key.
    pub fn give(&mut self, key: usize, connection: C) -> Option<usize> {
        let entry = self.entries.get_mut(key)?;
        entry.given = entry.given.saturating_add(1);
        Some(entry.connections.insert(connection))
    }

    /// Takes a connection from an instance that is done with it.
    pub fn take(&mut self, key: usize, connection: usize) -> Option<C> {
        let entry = self.entries.get_mut(key)?;
        entry.connections.try_remove(connection)
    }

    /// Sets how many connections were taken away from the guest of an instance, which still has something of them: these
    /// take the place of others. Returns whether they take all of it.
    pub fn set_cut(&mut self, key: usize, count: usize) -> bool {
        let concurrency = self.concurrency();
        self.entries.get_mut(key).is_some_and(|entry| {
            entry.cut = count;
            count >= concurrency
        })
    }

    /// Returns the connections that an instance has.
    pub fn connections(&self, key: usize) -> impl Iterator<Item = &C> {
        let connections = self.entries.get(key).map(|entry| &entry.connections);
        connections
            .into_iter()
            .flatten()
            .map(|(_, connection)| connection)
    }

    /// Returns how many connections an instance has.
    pub fn open(&self, key: usize) -> usize {
        let entry = self.entries.get(key);
        entry.map_or(0, |entry| entry.connections.len())
    }

    /// Returns whether an instance gets no more connections than it has.
    pub fn is_last(&self, key: usize) -> bool {
        let entry = self.entries.get(key);
        self.is_retired
            || entry.is_none_or(|entry| entry.ends || !self.policy.allows_another(entry.given))
    }

    /// Returns whether an instance has no connection. From then on it gets none.
    pub fn end_if_unused(&mut self, key: usize) -> bool {
        match self.entries.get_mut(key) {
            Some(entry) if entry.connections.is_empty() => {
                entry.ends = true;
                true
            }
            Some(_) => false,
            None => true,
        }
    }

    /// Has an instance get no more connections. Returns those that it has.
    pub fn end(&mut self, key: usize) -> impl Iterator<Item = &C> {
        let entry = self.entries.get_mut(key).map(|entry| {
            entry.ends = true;
            &entry.connections
        });
        entry
            .into_iter()
            .flatten()
            .map(|(_, connection)| connection)
    }

    /// Removes an instance that has ended. Returns how many connections it had.
    pub fn remove(&mut self, key: usize) -> usize {
        let entry = self.entries.try_remove(key);
        entry.map_or(0, |entry| entry.connections.len())
    }

    /// Has all instances get no more connections than those that come now. Returns the instances.
    pub fn retire(&mut self) -> impl Iterator<Item = &I> {
        self.is_retired = true;
        self.entries.iter().map(|(_, entry)| &entry.instance)
    }

    pub fn is_retired(&self) -> bool {
        self.is_retired
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::{NonZeroU32, NonZeroUsize};

    fn roster(reuse: u32, concurrency: u32, instances: usize) -> Roster<&'static str, u32> {
        Roster::new(InstancePolicy {
            reuse: NonZeroU32::new(reuse),
            concurrency: NonZeroU32::new(concurrency).expect("not 0"),
            max_instances: NonZeroUsize::new(instances),
            ..InstancePolicy::FRESH
        })
    }

    /// Gives a connection to an instance that is there, or to a new one.
    fn give(roster: &mut Roster<&'static str, u32>) -> (usize, usize) {
        let key = match roster.choose() {
            Choice::Existing(key) => key,
            Choice::New => roster.add("instance"),
            Choice::Wait => panic!("there is space"),
        };
        (key, roster.give(key, 0).expect("it is there"))
    }

    #[test]
    fn an_instance_is_made_when_the_others_are_full() {
        let mut roster = roster(0, 2, 2);
        let instances = [(); 4].map(|()| give(&mut roster).0);
        assert_eq!(instances, [0, 0, 1, 1]);
        assert_eq!(roster.choose(), Choice::Wait);
    }

    #[test]
    fn a_connection_goes_to_the_least_loaded() {
        let mut roster = roster(0, 3, 2);
        let given = [(); 6].map(|()| give(&mut roster));
        for (instance, connection) in [given[0], given[3], given[4]] {
            assert_eq!(roster.take(instance, connection), Some(0));
        }
        assert_eq!((roster.open(0), roster.open(1)), (2, 1));
        assert_eq!([(); 2].map(|()| give(&mut roster).0), [1, 0]);
        assert_eq!((roster.open(0), roster.open(1)), (3, 2));
    }

    #[test]
    fn a_connection_that_was_cut_takes_a_place_until_its_guest_lets_it_go() {
        let mut roster = roster(0, 2, 1);
        let given = [(); 2].map(|()| give(&mut roster));
        for (connection, is_filled) in [(given[0].1, false), (given[1].1, true)] {
            roster.take(0, connection);
            assert_eq!(roster.set_cut(0, connection + 1), is_filled);
        }
        assert_eq!(roster.choose(), Choice::Wait);
        roster.set_cut(0, 1);
        assert_eq!(roster.choose(), Choice::Existing(0));
    }

    #[test]
    fn an_instance_gets_no_more_connections_than_in_all() {
        let mut roster = roster(2, 2, 1);
        let (one, connection) = give(&mut roster);
        assert!(!roster.is_last(one));
        roster.take(one, connection);
        give(&mut roster);
        assert!(roster.is_last(one));
        assert_eq!(roster.choose(), Choice::Wait, "it has not ended");
        assert_eq!(roster.remove(one), 1);
        assert_eq!(roster.choose(), Choice::New);
    }

    #[test]
    fn one_that_was_made_ahead_is_used_when_the_others_are_full() {
        let mut roster = roster(0, 2, 0);
        let (used, _) = give(&mut roster);
        let ahead = roster.add("ahead");
        roster.set_ready(ahead);
        assert_eq!(roster.ready(), 1);
        assert_eq!([(); 2].map(|()| give(&mut roster).0), [used, ahead]);
        assert_eq!(roster.ready(), 0);
    }

    #[test]
    fn one_that_is_being_made_ahead_is_used_if_there_may_be_no_other() {
        let mut roster = roster(0, 1, 2);
        let ahead = roster.add("ahead");
        let (other, _) = give(&mut roster);
        assert_ne!(other, ahead);
        assert_eq!(roster.choose(), Choice::Existing(ahead));
    }

    #[test]
    fn one_that_ends_gets_none() {
        let mut roster = roster(0, 2, 0);
        let (key, connection) = give(&mut roster);
        assert!(!roster.end_if_unused(key));
        roster.take(key, connection);
        assert!(roster.end_if_unused(key));
        assert_eq!(roster.choose(), Choice::New);
        let (other, _) = give(&mut roster);
        assert_eq!(roster.end(other).count(), 1);
        assert_eq!(roster.choose(), Choice::New);
        assert!(roster.is_last(other));
    }

    #[test]
    fn retired_ones_are_told() {
        let mut roster = roster(0, 2, 0);
        let (key, _) = give(&mut roster);
        assert_eq!(roster.retire().count(), 1);
        assert!(roster.is_last(key) && roster.is_retired());
    }
}
