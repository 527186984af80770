//! Instances that cannot be made because the process is short of memory mappings, address space or memory. They wait
//! until another instance has ended; meanwhile, no further connections are accepted.
//!
//! How many instances there can be at a time is measured as soon as there are some: see [`footprint`](super::footprint).
//! What else the process maps is not known: the first instance that cannot be made shows how many there can be.

use super::footprint::{Footprint, Maximum};
use super::spare::Spare;
use super::sys;
use std::io;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{Notify, watch};
use wasmtime::PoolConcurrencyLimitError;

/// What the instances of a host wait for. Clones are the same.
#[derive(Clone)]
pub(crate) struct Shortage(Arc<Inner>);

struct Inner {
    /// The number of instances that exist, or are being made.
    instances: AtomicUsize,
    /// How many there may be at a time.
    capacity: usize,
    /// How many there can be at a time, as far as that was measured.
    measured: AtomicUsize,
    /// How many there can be at a time, since one more was refused.
    refused: AtomicUsize,
    footprint: Footprint,
    one_ended: Notify,
    /// How many wait to be made.
    waiting: watch::Sender<usize>,
    /// Given up when the process is short of memory, so that the process itself is not.
    spare: Mutex<Option<Spare>>,
    is_logged: AtomicBool,
    has_logged_maximum: AtomicBool,
}

/// An instance that exists, or is being made. Drop it after what the instance has mapped.
pub(crate) struct Counted(Shortage);

impl Shortage {
    /// Creates what at most `capacity` instances wait for.
    pub fn new(capacity: usize) -> Self {
        Self(Arc::new(Inner {
            instances: AtomicUsize::new(0),
            capacity,
            measured: AtomicUsize::new(usize::MAX),
            refused: AtomicUsize::new(usize::MAX),
            footprint: Footprint::new(),
            one_ended: Notify::new(),
            waiting: watch::Sender::new(0),
            spare: Mutex::new(Spare::reserve()),
            is_logged: AtomicBool::new(false),
            has_logged_maximum: AtomicBool::new(false),
        }))
    }

    /// Counts an instance that is about to be made. Returns `None` if there are as many as there can be.
    pub fn count(&self) -> Option<Counted> {
        let most = self.most();
        let add = |count| (count < most).then_some(count + 1);
        let counted = self
            .0
            .instances
            .fetch_update(Ordering::SeqCst, Ordering::SeqCst, add);
        counted.is_ok().then(|| Counted(self.clone()))
    }

    /// Returns how many instances there are, or are being made.
    pub fn instances(&self) -> usize {
        self.0.instances.load(Ordering::SeqCst)
    }

    /// How many there can be at a time, as far as that is known.
    fn most(&self) -> usize {
        let measured = self.0.measured.load(Ordering::SeqCst);
        measured.min(self.0.refused.load(Ordering::SeqCst))
    }

    /// Notes that an instance has been made. Now and then, this has a thread measure what the instances take.
    pub fn made(&self) {
        let footprint = &self.0.footprint;
        footprint.note(self.0.instances.load(Ordering::SeqCst));
        // While the mappings are read, nobody can change them: no thread does this that others keep from running.
        if sys::has_low_priority() || !footprint.is_due() {
            return;
        }
        let shortage = self.clone();
        let measure = move || {
            if let Some(maximum) = shortage.0.footprint.measure() {
                shortage.limit(&maximum);
            }
        };
        let thread = std::thread::Builder::new().name("evconn-measure".to_owned());
        if let Err(error) = thread.spawn(measure) {
            tracing::debug!("what instances take is not measured: {error}");
        }
    }

    /// Has no more instances made than there is room for.
    fn limit(&self, maximum: &Maximum) {
        tracing::debug!(
            "there is room for {} instances: {}",
            maximum.instances,
            maximum.reason
        );
        let before = self.0.measured.swap(maximum.instances, Ordering::SeqCst);
        if maximum.instances > before {
            self.0.one_ended.notify_waiters();
        }
        let capacity = self.0.capacity;
        if maximum.instances < capacity && !self.0.has_logged_maximum.swap(true, Ordering::Relaxed)
        {
            tracing::warn!(
                "maximum number of connections of this process lowered from {capacity} to {}, those of the \
                 instances that there is room for: {}",
                maximum.instances,
                maximum.reason
            );
        }
    }

    /// Waits until another instance may be made, or one has become idle.
    pub async fn wait(&self) {
        let mut one_ended = pin!(self.0.one_ended.notified());
        // Whatever ends from now on is noticed.
        one_ended.as_mut().enable();
        if self.0.instances.load(Ordering::SeqCst) >= self.most() {
            let _waiting = Waiting::new(&self.0.waiting);
            one_ended.await;
        }
    }

    /// Records that there cannot be more instances than exist now. Returns whether there are any: otherwise nothing
    /// would ever end.
    pub fn reached(&self, why: &wasmtime::Error) -> bool {
        // First of all, so that the process is not at its limit any more.
        *self.spare() = None;
        let count = self.0.instances.load(Ordering::SeqCst);
        self.0.refused.fetch_min(count.max(1), Ordering::SeqCst);
        if count > 0 {
            self.log(count, why);
        }
        count > 0
    }

    /// Tells one that waits that an instance has become idle, or has ended.
    pub fn one_is_free(&self) {
        self.0.one_ended.notify_one();
    }

    /// Whether no instance waits to be made.
    pub fn is_over(&self) -> bool {
        *self.0.waiting.borrow() == 0
    }

    /// Waits until no instance waits to be made.
    pub async fn over(&self) {
        let mut waiting = self.0.waiting.subscribe();
        // An error would mean that the sender is gone, which is in here.
        let _ = waiting.wait_for(|waiting| *waiting == 0).await;
    }

    /// Forgets how many instances there can be if half of them have ended and what they took is free again.
    fn forget(&self, left: usize) {
        let refused = self.0.refused.load(Ordering::SeqCst);
        if refused != usize::MAX && left == refused / 2 {
            let spare = Spare::reserve();
            if spare.is_some() {
                *self.spare() = spare;
                self.0.refused.store(usize::MAX, Ordering::SeqCst);
                self.0.one_ended.notify_waiters();
            }
        }
    }

    fn spare(&self) -> std::sync::MutexGuard<'_, Option<Spare>> {
        self.0.spare.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn log(&self, count: usize, why: &wasmtime::Error) {
        if !self.0.is_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the system refuses memory for another instance besides {count} ({}): its connection, and those \
                 after it, wait until others end; lower --max-connections, or raise the limit (sysctl \
                 vm.max_map_count, ulimit -v)",
                why.root_cause()
            );
        }
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.0.0.instances.fetch_sub(1, Ordering::SeqCst) - 1;
        self.0.forget(left);
        self.0.one_is_free();
    }
}

struct Waiting<'a>(&'a watch::Sender<usize>);

impl<'a> Waiting<'a> {
    fn new(count: &'a watch::Sender<usize>) -> Self {
        count.send_modify(|count| *count += 1);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

/// Returns whether an instance could not be made because the process has too many others.
pub(crate) fn is_shortage(error: &wasmtime::Error) -> bool {
    error.is::<PoolConcurrencyLimitError>() || error.chain().any(is_refused_memory)
}

fn is_refused_memory(error: &(dyn std::error::Error + 'static)) -> bool {
    let code = error.downcast_ref::<io::Error>().map(io::Error::kind);
    #[cfg(unix)]
    let code = code.or_else(|| {
        let errno = error.downcast_ref::<rustix::io::Errno>();
        errno.map(|errno| errno.kind())
    });
    code == Some(io::ErrorKind::OutOfMemory)
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;

    fn refused() -> wasmtime::Error {
        wasmtime::Error::from(io::Error::from(io::ErrorKind::OutOfMemory)).context("an instance")
    }

    #[test]
    fn the_systems_refusal_is_told_from_other_errors() {
        assert!(is_shortage(&refused()));
        let other = io::Error::from(io::ErrorKind::PermissionDenied);
        assert!(!is_shortage(&wasmtime::Error::from(other)));
        assert!(!is_shortage(&wasmtime::Error::msg(
            "Cannot allocate memory (os error 12)"
        )));
        #[cfg(unix)]
        assert!(is_shortage(&wasmtime::Error::from(
            rustix::io::Errno::NOMEM
        )));
    }

    /// A shortage with this many instances, and no memory for more.
    fn with(count: usize) -> (Shortage, Vec<Counted>) {
        let shortage = Shortage::new(usize::MAX);
        let all = (0..count).map(|_| shortage.count().expect("no limit is known"));
        let all: Vec<_> = all.collect();
        assert_eq!(shortage.reached(&refused()), count > 0);
        (shortage, all)
    }

    #[test]
    fn whoever_waits_is_told_of_the_next_end() {
        let (shortage, mut all) = with(3);
        assert!(shortage.count().is_none());
        let mut first = Box::pin(shortage.wait());
        let mut second = Box::pin(shortage.wait());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(!shortage.is_over() && shortage.over().now_or_never().is_none());
        all.pop();
        assert!(first.now_or_never().is_some());
        assert!(second.as_mut().now_or_never().is_none());
        let counted = shortage.count();
        assert!(counted.is_some() && shortage.count().is_none());
        drop(counted);
        assert!(second.now_or_never().is_some());
        assert!(shortage.is_over() && shortage.over().now_or_never().is_some());
    }

    #[test]
    fn an_end_before_somebody_waits_is_not_waited_for() {
        let (shortage, mut all) = with(3);
        all.pop();
        assert!(shortage.wait().now_or_never().is_some());
    }

    #[test]
    fn one_instance_may_always_be_tried() {
        let (shortage, _) = with(0);
        let only = shortage.count();
        assert!(only.is_some() && shortage.count().is_none());
    }

    #[test]
    fn one_that_gives_up_leaves_its_turn_to_the_next() {
        let (shortage, mut all) = with(3);
        let mut first = Box::pin(shortage.wait());
        let mut second = Box::pin(shortage.wait());
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        all.pop();
        drop(first);
        assert!(second.now_or_never().is_some());
    }

    #[test]
    fn no_more_are_made_than_there_is_room_for() {
        let shortage = Shortage::new(100);
        let maximum = |instances| Maximum {
            instances,
            reason: String::new(),
        };
        let _all: Vec<_> = (0..3)
            .map(|_| shortage.count().expect("not known"))
            .collect();
        shortage.limit(&maximum(3));
        assert!(shortage.count().is_none());
        let mut waiting = Box::pin(shortage.wait());
        assert!(waiting.as_mut().now_or_never().is_none());
        shortage.limit(&maximum(4));
        assert!(waiting.now_or_never().is_some());
        assert!(shortage.count().is_some());
    }

    #[test]
    fn what_was_learned_is_forgotten_when_half_have_ended() {
        let (shortage, mut all) = with(4);
        all.truncate(3);
        all.push(shortage.count().expect("one has ended"));
        assert!(shortage.count().is_none());
        all.truncate(2);
        all.extend((0..10).map(|_| shortage.count().expect("there may be more")));
    }
}
