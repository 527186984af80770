//! Guests that compute a lot do not delay the others: whoever uses up a slice goes on where the
//! threads have a low priority, until it waits for something again.
//!
//! Where it ends: slices are cut, and computing is charged, by the [`meter`](super::meter).

use super::meter::Meter;
use crate::log::with_log;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::runtime::{Builder, Runtime};
use tokio_util::task::AbortOnDropHandle;

/// Where guests go on that have used up their slice: a second runtime, whose threads get the processor
/// when nobody else wants it.
pub(crate) struct Background(Option<Runtime>);

impl Background {
    /// # Errors
    /// If no threads can be had.
    pub fn new() -> io::Result<Self> {
        let runtime = Builder::new_multi_thread()
            .thread_name("evconn-low")
            .on_thread_start(lower_priority)
            .enable_all()
            .build()?;
        Ok(Self(Some(runtime)))
    }
}

impl Drop for Background {
    fn drop(&mut self) {
        // It may be dropped where waiting is not allowed.
        if let Some(runtime) = self.0.take() {
            runtime.shutdown_background();
        }
    }
}

/// On Linux a thread has a priority of its own; elsewhere that of its process would change.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    if let Err(error) = rustix::process::setpriority_process(None, 19) {
        tracing::warn!("guests that compute a lot may delay others: no low priority: {error}");
    }
}

/// What lets a guest run.
pub(crate) type Run<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// Let a guest run, and charge `meter` for it. If this is dropped, so is what runs: soon, if it is in
/// the background.
pub(crate) async fn run<T: Send + 'static>(
    mut guest: Run<T>,
    meter: Arc<Meter>,
    background: &Background,
) -> T {
    loop {
        guest = match Stretch::new(guest, &meter, Until::SliceUsed).await {
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
    /// Let a guest run here until it waits.
    async fn run<T: Send + 'static>(&self, guest: Run<T>, meter: Arc<Meter>) -> Ended<T> {
        let Some(runtime) = &self.0 else {
            return Ended::Left(guest);
        };
        let stretch = async move { Stretch::new(guest, &meter, Until::Waits).await };
        match AbortOnDropHandle::new(runtime.spawn(with_log(stretch))).await {
            Ok(ended) => ended,
            Err(error) => match error.try_into_panic() {
                Ok(panic) => std::panic::resume_unwind(panic),
                // The host is being dropped, and whoever waits for this with it.
                Err(_) => std::future::pending().await,
            },
        }
    }
}

/// The turns of a guest up to some point.
struct Stretch<'a, T> {
    /// None: it has ended.
    guest: Option<Run<T>>,
    meter: &'a Meter,
    until: Until,
}

/// How a stretch has ended.
enum Ended<T> {
    Done(T),
    Left(Run<T>),
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Until {
    SliceUsed,
    Waits,
}

impl<'a, T> Stretch<'a, T> {
    fn new(guest: Run<T>, meter: &'a Meter, until: Until) -> Self {
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
        self.meter.begin_turn();
        let polled = guest.as_mut().poll(cx);
        let slice_used = self.meter.end_turn();
        match polled {
            Poll::Ready(output) => Poll::Ready(Ended::Done(output)),
            Poll::Pending if slice_used == (self.until == Until::SliceUsed) => {
                Poll::Ready(Ended::Left(guest))
            }
            Poll::Pending => {
                self.guest = Some(guest);
                Poll::Pending
            }
        }
    }
}
