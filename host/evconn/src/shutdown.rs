//! When serving is to end, and how patiently.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::Duration;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// When a [`Server`](crate::Server) is to end: at a first signal it accepts no more and lets open
/// connections finish, for a time of grace; at a second one, or after that time, it resets them.
pub struct Shutdown {
    pub(crate) begin: Signal,
    pub(crate) now: Signal,
    pub(crate) grace: Duration,
    pub(crate) drain_delay: Duration,
}

impl Shutdown {
    /// The time of grace unless another is set: 10 seconds.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    /// Begin when `signal` completes, whatever comes of it.
    pub fn on<T>(signal: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            begin: completion(signal),
            now: completion(pending::<()>()),
            grace: Self::DEFAULT_GRACE,
            drain_delay: Duration::ZERO,
        }
    }

    /// Never: serving ends when the listener does.
    pub fn never() -> Self {
        Self::on(pending::<()>())
    }

    /// How long to go on accepting after the first signal, so that whoever sends peers here, a load
    /// balancer for instance, has the time to notice. Default: not at all.
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay;
        self
    }

    /// How long open connections may go on when no more are accepted. Default: 10 seconds.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// End what is left as soon as `signal` completes, if it does so after the first signal.
    pub fn now_on<T>(mut self, signal: impl Future<Output = T> + Send + 'static) -> Self {
        self.now = completion(signal);
        self
    }

    /// Begin at SIGINT (Ctrl-C) or SIGTERM; end what is left at the second of them.
    ///
    /// From here on, these signals no longer end the process by themselves.
    ///
    /// # Errors
    /// What the operating system says when the signals cannot be watched.
    pub fn on_signals() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (second, begin_is_over) = tokio::sync::oneshot::channel();
        let begin = async move {
            signals.next().await;
            // The other end is gone only if nobody cares for the second signal.
            let _ = second.send(signals);
        };
        let now = async move {
            match begin_is_over.await {
                Ok(mut signals) => signals.next().await,
                Err(_) => pending().await,
            }
        };
        Ok(Self::on(begin).now_on(now))
    }
}

fn completion<T>(signal: impl Future<Output = T> + Send + 'static) -> Signal {
    Box::pin(async move {
        signal.await;
    })
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Self {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(windows)]
struct Signals(tokio::signal::windows::CtrlC);

#[cfg(windows)]
impl Signals {
    fn new() -> io::Result<Self> {
        Ok(Self(tokio::signal::windows::ctrl_c()?))
    }

    async fn next(&mut self) {
        self.0.recv().await;
    }
}
