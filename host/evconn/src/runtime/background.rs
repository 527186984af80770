//! Guests that compute a lot do not delay the others: a guest that has used up its time slices continues
//! on threads with a low priority, until it waits for something again.
//!
//! The [`meter`](super::meter) ends time slices and charges computing time.

use super::meter::Meter;
use crate::log::with_log;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// How many time slices a guest has in the foreground, for its whole connection: enough for an answer of a service in
/// an interpreted language, which takes about 2 ms with its start.
const FOREGROUND: u32 = 3;

/// The runtime on which guests continue that have used up their time slices. Its threads run when no other
/// thread needs the processor.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// Starts a thread for each worker. More of them would make the kernel interrupt more cores whenever memory
    /// of a guest changes.
    ///
    /// # Errors
    /// If its threads cannot be started.
    pub fn new(workers: usize) -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .worker_threads(workers)
            .thread_name("evconn-low")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may be dropped in an async context, where blocking is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// Lowers the priority of the calling thread. Only Linux has a priority for each thread; elsewhere this
/// would change the whole process.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::warn!(
            "no low priority for guests that compute a lot, which may delay others: {error}"
        );
    }
}

/// The future that runs a guest.
pub(crate) type Run<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Runs a guest and charges `meter` for it. If this future is dropped, the guest's future is dropped too;
/// soon afterwards, if it is in the background.
pub(crate) async fn run<T: Send + 'static>(
    mut guest: Run<T>,
    meter: Arc<Meter>,
    background: &Background,
) -> T {
    let mut slices = FOREGROUND;
    loop {
        guest = match Stretch::new(guest, &meter, Until::SlicesUsed(&mut slices)).await {
            Ended::Done(output) => return output,
            Ended::Left(guest) => guest,
        };
        guest = match background.run(guest, Arc::clone(&meter)).await {
            Ended::Done(output) => return output,
            Ended::Left(guest) => guest,
        };
    }
}

impl Background {
    /// Runs a guest on the background threads until it waits.
    async fn run<T: Send + 'static>(&self, guest: Run<T>, meter: Arc<Meter>) -> Ended<T> {
        let Some(runtime) = &self.0 else {
            return Ended::Left(guest);
        };
        let stretch = async move { Stretch::new(guest, &meter, Until::Waits).await };
        match AbortOnDropHandle::new(runtime.spawn(with_log(stretch))).await {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The host is being dropped, and so is the caller.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// Polls a guest up to some point.
struct Stretch<'a, T> {
    /// None: it has ended.
    guest: Option<Run<T>>,
    meter: &'a Meter,
    until: Until<'a>,
}

/// How a stretch has ended.
enum Ended<T> {
    Done(T),
    Left(Run<T>),
}

enum Until<'a> {
    /// So many more slices are used up.
    SlicesUsed(&'a mut u32),
    Waits,
}

impl Until<'_> {
    /// Returns whether the stretch ends after a poll that did, or did not, use up a slice.
    fn is_reached(&mut self, slice_used: bool) -> bool {
        match self {
            Self::SlicesUsed(left) if slice_used => {
                **left = left.saturating_sub(1);
                **left == 0
            }
            Self::SlicesUsed(_) => false,
            Self::Waits => !slice_used,
        }
    }
}

impl<'a, T> Stretch<'a, T> {
    fn new(guest: Run<T>, meter: &'a Meter, until: Until<'a>) -> Self {
        Self {
            guest: Some(guest),
            meter,
            until,
        }
    }
}

impl<T> Future for Stretch<'_, T> {
    type Output = Ended<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
        let Some(mut guest) = self.guest.take() else {
            return Poll::Pending;
        };
        self.meter.begin_poll();
        let polled = guest.as_mut().poll(cx);
        let slice_used = self.meter.end_poll();
        match polled {
            Poll::Ready(output) => Poll::Ready(Ended::Done(output)),
            Poll::Pending if self.until.is_reached(slice_used) => Poll::Ready(Ended::Left(guest)),
            Poll::Pending => {
                self.guest = Some(guest);
                Poll::Pending
            }
        }
    }
}
