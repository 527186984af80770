//! What is run ahead of the connections that it is for: in the background, until it is needed.

use super::{Background, Run};
use crate::runtime::meter::{Clock, Meter, Now};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};

/// How far something has come in the background.
pub(crate) enum Ahead<T> {
    Done(T),
    /// It continues elsewhere.
    Left(Run<T>),
}

impl Background {
    /// Runs something on a thread with a low priority, whatever it has used, until `is_over`: this is asked whenever it
    /// waits for something, or has used up a slice.
    pub async fn run_ahead<T: Send + 'static>(
        &self,
        run: Run<T>,
        meter: &Arc<Meter>,
        is_over: impl FnMut() -> bool + Send + Unpin + 'static,
    ) -> Ahead<T> {
        let ahead = RunAhead {
            run: Some(run),
            meter: Arc::clone(meter),
            is_over,
        };
        self.threads.run(ahead, meter).await
    }
}

struct RunAhead<T, F> {
    /// None: it has ended.
    run: Option<Run<T>>,
    meter: Arc<Meter>,
    is_over: F,
}

impl<T, F: FnMut() -> bool + Unpin> Future for RunAhead<T, F> {
    type Output = Ahead<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ahead<T>> {
        let Some(mut run) = self.run.take() else {
            return Poll::Pending;
        };
        self.meter.begin_poll(Clock::Thread, Now::read());
        let polled = run.as_mut().poll(cx);
        self.meter.end_poll(Now::read());
        match polled {
            Poll::Ready(output) => Poll::Ready(Ahead::Done(output)),
            Poll::Pending if (self.is_over)() => Poll::Ready(Ahead::Left(run)),
            Poll::Pending => {
                self.run = Some(run);
                Poll::Pending
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::CpuShare;
    use super::*;
    use crate::metrics::Recorder;
    use std::thread;

    fn name() -> Option<String> {
        thread::current().name().map(str::to_owned)
    }

    #[tokio::test]
    async fn it_runs_in_the_background_until_it_is_needed() {
        let background = Background::new(1, CpuShare::default()).expect("a thread");
        let meter = Arc::new(Meter::new(None, &Recorder::default()));
        let run = async {
            let first = name();
            tokio::task::yield_now().await;
            (first, name())
        };
        let ahead = background.run_ahead(Box::pin(run), &meter, || true).await;
        let Ahead::Left(run) = ahead else {
            panic!("it has waited");
        };
        let (ahead, after) = run.await;
        assert_eq!(ahead.as_deref(), Some("evconn-low"));
        assert_eq!(after, name());
    }

    #[tokio::test]
    async fn what_is_done_before_is_not_waited_for() {
        let background = Background::new(1, CpuShare::default()).expect("a thread");
        let meter = Arc::new(Meter::new(None, &Recorder::default()));
        let run = async {
            tokio::task::yield_now().await;
            7
        };
        let ahead = background.run_ahead(Box::pin(run), &meter, || false).await;
        assert!(matches!(ahead, Ahead::Done(7)));
    }
}
