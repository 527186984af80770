//! Operations on files, which block: each takes a thread until the operating system is done with it.
//!
//! None can be interrupted, so how many there are is limited, for each guest and in all. A guest that is ended does
//! not wait for its own: they end by themselves.

use std::panic::resume_unwind;
use std::sync::Arc;
use tokio::sync::Semaphore;
use tokio::task::spawn_blocking;

/// The most operations of a guest at a time. One that waits for each has one; with streams it may have more.
const OF_GUEST: usize = 4;

/// The most operations of all guests at a time: a quarter of the threads for blocking calls that a runtime has.
static OF_ALL: Semaphore = Semaphore::const_new(128);

/// The operations of one guest. Cheap to clone; the clones are the same.
#[derive(Clone, Debug)]
pub(crate) struct Operations(Arc<Semaphore>);

impl Default for Operations {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(OF_GUEST)))
    }
}

impl Operations {
    /// Does something on another thread, as soon as there may be one more operation. If the returned future is
    /// dropped while that goes on, it counts until it is done.
    ///
    /// # Errors
    /// If the runtime ends.
    pub async fn run<R: Send + 'static>(
        self,
        operation: impl FnOnce() -> R + Send + 'static,
    ) -> wasmtime::Result<R> {
        let own = self.0.acquire_owned().await?;
        let of_all = OF_ALL.acquire().await?;
        let running = spawn_blocking(move || {
            let result = operation();
            drop((own, of_all));
            result
        });
        running.await.map_err(|error| match error.try_into_panic() {
            Ok(panic) => resume_unwind(panic),
            Err(error) => error.into(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    #[tokio::test]
    async fn an_operation_that_nobody_waits_for_counts_until_it_is_done() {
        let operations = Operations::default();
        let (end, ends) = mpsc::channel::<()>();
        let ends = Arc::new(std::sync::Mutex::new(ends));
        let blocked = || {
            let ends = Arc::clone(&ends);
            operations.clone().run(move || {
                // An error is the end, too.
                let _ = ends.lock().expect("no panic").recv();
            })
        };
        for _ in 0..OF_GUEST {
            let running = blocked();
            // Begun, and given up.
            assert!(futures_util::poll!(std::pin::pin!(running)).is_pending());
        }
        assert_eq!(operations.0.available_permits(), 0);
        let next = std::pin::pin!(operations.clone().run(|| 7));
        let mut next = next;
        assert!(futures_util::poll!(&mut next).is_pending());
        end.send(()).expect("somebody waits");
        assert_eq!(next.await.expect("a result"), 7);
        drop(end);
    }
}
