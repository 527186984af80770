//! The bytes of a stream that a guest has passed from one connection to another: the guest's store polls what moves
//! them, until the host takes that over.

use crate::connection::Endpoint;
use futures_util::task::AtomicWaker;
use std::fmt;
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::task::Poll;

type Boxed = Pin<Box<dyn Future<Output = ()> + Send>>;

/// What moves the bytes of a stream. Clones are the same.
#[derive(Clone)]
pub struct Moving(Arc<Inner>);

struct Inner {
    /// None: it has ended, or was taken over.
    future: Mutex<Option<Boxed>>,
    /// The store that polls it.
    store: AtomicWaker,
    /// The connection whose peer sends them.
    from: Weak<Endpoint>,
    /// Those of the two connections that the guest has made.
    of_guest: Vec<Weak<Endpoint>>,
}

impl Moving {
    pub(crate) fn new(
        future: impl Future<Output = ()> + Send + 'static,
        from: Weak<Endpoint>,
        of_guest: Vec<Weak<Endpoint>>,
    ) -> Self {
        Self(Arc::new(Inner {
            future: Mutex::new(Some(Box::pin(future))),
            store: AtomicWaker::new(),
            from,
            of_guest,
        }))
    }

    /// Moves the bytes to the end, unless they are moved by somebody else before.
    pub(crate) async fn run(&self) {
        poll_fn(|cx| {
            self.0.store.register(cx.waker());
            let mut future = self.future();
            match future.as_mut().map(|future| future.as_mut().poll(cx)) {
                Some(Poll::Pending) => Poll::Pending,
                Some(Poll::Ready(())) | None => {
                    *future = None;
                    Poll::Ready(())
                }
            }
        })
        .await;
    }

    pub(super) fn is_from(&self, endpoint: &Arc<Endpoint>) -> bool {
        std::ptr::eq(self.0.from.as_ptr(), Arc::as_ptr(endpoint))
    }

    pub(super) fn has_ended(&self) -> bool {
        self.future().is_none()
    }

    /// Returns those of the two connections that the guest has made, and that end with it.
    pub fn of_guest(&self) -> impl Iterator<Item = Arc<Endpoint>> {
        self.0.of_guest.iter().filter_map(Weak::upgrade)
    }

    /// Takes over what moves the bytes, if it has not ended: the store polls it no more.
    pub fn take(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        let taken = self.future().take();
        self.0.store.wake();
        taken
    }

    fn future(&self) -> MutexGuard<'_, Option<Boxed>> {
        // Whatever panics in there is not polled again.
        self.0.future.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl fmt::Debug for Moving {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Moving")
            .field("has_ended", &self.has_ended())
            .finish_non_exhaustive()
    }
}
