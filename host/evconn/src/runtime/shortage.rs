//! Instances that could not be made because the process was short of memory mappings, address space or memory. They
//! wait until another instance has ended; meanwhile, no further connections are accepted.
//!
//! How many instances there can be at a time is estimated before, but what each takes depends on its guest, and on
//! what else the process has mapped.

use std::io;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use tokio::sync::{Notify, watch};
use wasmtime::PoolConcurrencyLimitError;

/// What the instances of a host wait for. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct Shortage(Arc<Inner>);

#[derive(Default)]
struct Inner {
    /// The number of instances that exist, or are being made.
    instances: AtomicUsize,
    /// How many of them have ended, or became idle, so far.
    ended: AtomicUsize,
    one_ended: Notify,
    /// How many wait to be made.
    waiting: watch::Sender<usize>,
    is_logged: AtomicBool,
}

/// An instance that exists, or is being made. Drop it after what the instance has mapped.
pub(crate) struct Counted {
    shortage: Shortage,
    is_made: bool,
}

impl Shortage {
    /// Counts an instance that is about to be made.
    pub fn count(&self) -> Counted {
        self.0.instances.fetch_add(1, Ordering::SeqCst);
        Counted {
            shortage: self.clone(),
            is_made: false,
        }
    }

    /// Returns how many instances have ended so far, for [`wait`](Self::wait). Call this before making one.
    pub fn ended(&self) -> usize {
        self.0.ended.load(Ordering::SeqCst)
    }

    /// Waits until an instance has ended since `seen`. Returns whether there is hope: none is left if no instance
    /// exists.
    pub async fn wait(&self, seen: usize, why: &wasmtime::Error) -> bool {
        let mut one_ended = pin!(self.0.one_ended.notified());
        // Whatever ends from now on is noticed.
        one_ended.as_mut().enable();
        if self.ended() != seen {
            return true;
        }
        if self.0.instances.load(Ordering::SeqCst) == 0 {
            return false;
        }
        self.log(why);
        let _waiting = Waiting::new(&self.0.waiting);
        one_ended.await;
        true
    }

    /// Tells one that waits to try again: an instance has ended or has become idle, or there may be space for more.
    pub fn try_again(&self) {
        self.0.ended.fetch_add(1, Ordering::SeqCst);
        self.0.one_ended.notify_one();
    }

    /// Whether no instance waits to be made.
    pub fn is_over(&self) -> bool {
        *self.0.waiting.borrow() == 0
    }

    /// Waits until no instance waits to be made.
    pub async fn over(&self) {
        // An error would mean that the sender is gone, which is in here.
        let _ = self
            .0
            .waiting
            .subscribe()
            .wait_for(|waiting| *waiting == 0)
            .await;
    }

    fn log(&self, why: &wasmtime::Error) {
        if !self.0.is_logged.swap(true, Ordering::Relaxed) {
            tracing::warn!(
                "the system refuses memory for another instance ({}): its connection, and those after it, wait \
                 until others end; lower --max-connections, or raise the limit (sysctl vm.max_map_count, ulimit -v)",
                why.root_cause()
            );
        }
    }
}

impl Counted {
    /// The instance exists.
    pub fn made(mut self) -> Self {
        self.is_made = true;
        self
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        let left = self.shortage.0.instances.fetch_sub(1, Ordering::SeqCst) - 1;
        if self.is_made {
            self.shortage.try_again();
        } else if left == 0 {
            // Whoever waits waits in vain.
            self.shortage.0.one_ended.notify_one();
        }
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

    #[test]
    fn whoever_waits_is_told_of_the_next_end() {
        let shortage = Shortage::default();
        let (one, other) = (shortage.count().made(), shortage.count().made());
        let (seen, why) = (shortage.ended(), refused());
        let mut first = Box::pin(shortage.wait(seen, &why));
        let mut second = Box::pin(shortage.wait(seen, &why));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        assert!(!shortage.is_over() && shortage.over().now_or_never().is_none());
        drop(one);
        assert_eq!(first.now_or_never(), Some(true));
        assert!(second.as_mut().now_or_never().is_none());
        drop(other);
        assert_eq!(second.now_or_never(), Some(true));
        assert!(shortage.is_over() && shortage.over().now_or_never().is_some());
    }

    #[test]
    fn an_end_that_was_not_seen_is_not_waited_for() {
        let shortage = Shortage::default();
        let (one, _other) = (shortage.count().made(), shortage.count());
        let seen = shortage.ended();
        drop(one);
        assert_eq!(shortage.wait(seen, &refused()).now_or_never(), Some(true));
    }

    #[test]
    fn nothing_is_waited_for_if_no_instance_exists() {
        let shortage = Shortage::default();
        let seen = shortage.ended();
        assert_eq!(shortage.wait(seen, &refused()).now_or_never(), Some(false));
        assert!(shortage.is_over());
    }

    #[test]
    fn one_that_gives_up_leaves_its_turn_to_the_next() {
        let shortage = Shortage::default();
        let one = shortage.count().made();
        let (seen, why) = (shortage.ended(), refused());
        let mut first = Box::pin(shortage.wait(seen, &why));
        let mut second = Box::pin(shortage.wait(seen, &why));
        assert!(first.as_mut().now_or_never().is_none());
        assert!(second.as_mut().now_or_never().is_none());
        drop(one);
        drop(first);
        assert_eq!(second.now_or_never(), Some(true));
    }

    #[test]
    fn an_attempt_that_fails_is_no_end() {
        let shortage = Shortage::default();
        let one = shortage.count().made();
        let seen = shortage.ended();
        drop(shortage.count());
        let why = refused();
        let mut waits = Box::pin(shortage.wait(seen, &why));
        assert!(waits.as_mut().now_or_never().is_none());
        drop(one);
        assert_eq!(waits.now_or_never(), Some(true));
        let seen = shortage.ended();
        drop(shortage.count());
        assert_eq!(shortage.wait(seen, &why).now_or_never(), Some(false));
    }
}
