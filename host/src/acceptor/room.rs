//! How many connections may be taken at a time: as many as there are permits for, and no more than a
//! batch.

use std::sync::Arc;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The most connections that are taken at a time for tasks, so that none waits long for the last.
pub(super) const BATCH: u32 = 64;

/// How many events may be taken now.
pub(super) enum Room {
    /// None, until something changes.
    None,
    /// None, until a permit is free.
    WaitFor(Arc<Semaphore>),
    /// At most this many.
    For(u32),
}

/// Permits for connections that are yet to come: each is taken before its connection is accepted,
/// and given back when none was there. Another listener may have use for it.
#[derive(Default)]
pub(super) struct Permits(Option<OwnedSemaphorePermit>);

impl Permits {
    /// Take as many as a batch may need.
    pub fn fill(&mut self, semaphore: &Arc<Semaphore>) -> Room {
        let batch = BATCH as usize;
        self.keep_only(semaphore);
        let wanted = batch.saturating_sub(self.count());
        let free = wanted.min(semaphore.available_permits());
        if free > 0
            && let Ok(taken) = Arc::clone(semaphore).try_acquire_many_owned(free as u32)
        {
            self.add(taken);
        }
        match self.count() {
            0 => Room::WaitFor(Arc::clone(semaphore)),
            count => Room::For(count.min(batch) as u32),
        }
    }

    /// One of those that were taken, or a new one.
    pub fn one(&mut self, semaphore: &Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
        self.keep_only(semaphore);
        match self.0.as_mut().and_then(|held| held.split(1)) {
            Some(permit) => Some(permit),
            None => Arc::clone(semaphore).try_acquire_owned().ok(),
        }
    }

    pub fn add(&mut self, taken: OwnedSemaphorePermit) {
        self.keep_only(&Arc::clone(taken.semaphore()));
        match &mut self.0 {
            Some(held) => held.merge(taken),
            None => self.0 = Some(taken),
        }
    }

    /// Keep none while nothing comes.
    pub fn give_back(&mut self) {
        self.0 = None;
    }

    fn count(&self) -> usize {
        self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits)
    }

    /// Permits of a callback that was replaced are of no use for the new one.
    fn keep_only(&mut self, semaphore: &Arc<Semaphore>) {
        let ours = |held: &OwnedSemaphorePermit| Arc::ptr_eq(held.semaphore(), semaphore);
        if !self.0.as_ref().is_some_and(ours) {
            self.0 = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn room(room: Room) -> u32 {
        match room {
            Room::For(count) => count,
            Room::None | Room::WaitFor(_) => 0,
        }
    }

    #[test]
    fn there_is_room_for_as_many_as_there_are_permits() {
        let semaphore = Arc::new(Semaphore::new(3));
        let mut permits = Permits::default();
        assert_eq!(room(permits.fill(&semaphore)), 3);
        let one = permits.one(&semaphore);
        assert!(one.is_some());
        assert_eq!(room(permits.fill(&semaphore)), 2);
        assert_eq!(semaphore.available_permits(), 0);
        drop(one);
        assert_eq!(room(permits.fill(&semaphore)), 3);
    }

    #[test]
    fn no_more_than_a_batch_is_held() {
        let semaphore = Arc::new(Semaphore::new(1_000));
        let mut permits = Permits::default();
        assert_eq!(room(permits.fill(&semaphore)), BATCH);
        assert_eq!(room(permits.fill(&semaphore)), BATCH);
        assert_eq!(semaphore.available_permits(), 1_000 - BATCH as usize);
    }

    #[test]
    fn permits_that_are_given_back_are_there_for_another_listener() {
        let semaphore = Arc::new(Semaphore::new(1));
        let (mut one, mut other) = (Permits::default(), Permits::default());
        assert_eq!(room(one.fill(&semaphore)), 1);
        assert!(matches!(other.fill(&semaphore), Room::WaitFor(_)));
        one.give_back();
        assert_eq!(room(other.fill(&semaphore)), 1);
    }

    #[test]
    fn permits_of_a_callback_that_was_replaced_are_given_back() {
        let old = Arc::new(Semaphore::new(2));
        let new = Arc::new(Semaphore::new(0));
        let mut permits = Permits::default();
        assert_eq!(room(permits.fill(&old)), 2);
        assert!(matches!(permits.fill(&new), Room::WaitFor(_)));
        assert_eq!(old.available_permits(), 2);
        assert!(permits.one(&new).is_none());
    }
}
