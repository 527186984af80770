//! How a direction of a connection has ended: a value that the host sets, and that a guest gets by a future.

use std::convert::Infallible;
use std::pin::Pin;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Waker};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// How a direction has ended.
pub type Ended = Result<(), ErrorCode>;

/// How a direction ends, once that is known. Clones are the same.
///
/// One task waits for it at a time: the store of a guest that has its future, or the host.
#[derive(Clone, Debug, Default)]
pub struct Ending(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    how: Option<Ended>,
    waker: Option<Waker>,
    /// Whether the future exists by which a guest gets it.
    has_future: bool,
}

impl Ending {
    /// Sets how it has ended. The first value counts.
    pub fn set(&self, how: Ended) {
        let waker = {
            let mut state = self.state();
            state.how.get_or_insert(how);
            state.waker.take()
        };
        if let Some(waker) = waker {
            waker.wake();
        }
    }

    /// Returns whether it is known.
    pub fn is_known(&self) -> bool {
        self.state().how.is_some()
    }

    /// Waits until it is known.
    pub fn poll(&self, cx: &Context<'_>) -> Poll<Ended> {
        let mut state = self.state();
        match &state.how {
            Some(how) => Poll::Ready(how.clone()),
            None => {
                state.waker = Some(cx.waker().clone());
                Poll::Pending
            }
        }
    }

    /// Returns the future of it for a guest. There is one.
    pub(crate) fn future(&self) -> EndingFuture {
        self.state().has_future = true;
        EndingFuture(self.clone())
    }

    /// Returns whether a guest can have its future, or the host has it back and has not closed it.
    pub(super) fn has_future(&self) -> bool {
        self.state().has_future
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What produces the value of a guest's future. It is dropped with the future.
pub(crate) struct EndingFuture(Ending);

impl Future for EndingFuture {
    type Output = Result<Ended, Infallible>;

    fn poll(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Self::Output> {
        self.0.poll(cx).map(Ok)
    }
}

impl Drop for EndingFuture {
    fn drop(&mut self) {
        self.0.state().has_future = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::FutureExt;
    use std::future::poll_fn;

    #[test]
    fn the_first_value_counts_and_wakes_who_waits() {
        let ending = Ending::default();
        let mut known = Box::pin(poll_fn(|cx| ending.poll(cx)));
        assert!((&mut known).now_or_never().is_none() && !ending.is_known());
        ending.set(Err(ErrorCode::Timeout));
        ending.set(Ok(()));
        let known = known.now_or_never();
        assert!(matches!(known, Some(Err(ErrorCode::Timeout))), "{known:?}");
    }

    #[test]
    fn its_future_is_there_until_it_is_dropped() {
        let ending = Ending::default();
        assert!(!ending.has_future());
        let future = ending.future();
        assert!(ending.has_future());
        drop(future);
        assert!(!ending.has_future());
    }
}
