//! How many instances of a service there are.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::sync::Notify;

/// Counts instances.
#[derive(Debug, Default)]
pub(super) struct Population {
    count: AtomicUsize,
    /// Notified when one has ended, and when [told](Self::tell).
    changed: Notify,
}

/// An instance that is counted, until this is dropped.
#[derive(Debug)]
pub(super) struct Alive(Arc<Population>);

impl Population {
    /// Counts another instance, if there are fewer than this.
    pub fn add(self: &Arc<Self>, most: usize) -> Option<Alive> {
        let add = |count| (count < most).then_some(count + 1);
        let (set, get) = (Ordering::AcqRel, Ordering::Acquire);
        let added = self.count.fetch_update(set, get, add);
        added.is_ok().then(|| Alive(Arc::clone(self)))
    }

    /// Returns whether there are fewer than this.
    pub fn is_below(&self, most: usize) -> bool {
        self.count.load(Ordering::Acquire) < most
    }

    /// Waits until something changes. What changes after this call is noticed.
    pub fn changed(&self) -> impl Future<Output = ()> {
        self.changed.notified()
    }

    /// Tells all who wait that something else has changed.
    pub fn tell(&self) {
        self.changed.notify_waiters();
    }
}

impl Drop for Alive {
    fn drop(&mut self) {
        self.0.count.fetch_sub(1, Ordering::AcqRel);
        self.0.tell();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    #[test]
    fn there_are_no_more_than_there_may_be() {
        let population = Arc::<Population>::default();
        let both = [(); 2].map(|()| population.add(2).expect("there may be two"));
        assert!(population.add(2).is_none() && !population.is_below(2));
        let changed = population.changed();
        drop(both);
        assert!(changed.now_or_never().is_some() && population.is_below(1));
    }
}
