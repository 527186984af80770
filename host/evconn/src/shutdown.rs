//! When a server shuts down, and how long it waits for open connections.

use std::future::{Future, pending};
use std::io;
use std::pin::Pin;
use std::time::Duration;

type Signal = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The graceful shutdown of a [`Server`](crate::Server): at a first signal it accepts no more and lets
/// open connections finish; after a grace period, or at a second signal, it resets the rest.
pub struct Shutdown {
    pub(crate) begin: Signal,
    pub(crate) now: Signal,
    pub(crate) grace: Duration,
    pub(crate) drain_delay: Duration,
}

impl Shutdown {
    /// The default grace period: 10 seconds.
    pub const DEFAULT_GRACE: Duration = Duration::from_secs(10);

    /// Shuts down when `signal` completes, whatever its output.
    pub fn on<T>(signal: impl Future<Output = T> + Send + 'static) -> Self {
        Self {
            begin: completion(signal),
            now: completion(pending::<()>()),
            grace: Self::DEFAULT_GRACE,
            drain_delay: Duration::ZERO,
        }
    }

    /// Never shuts down: serving ends when the listener does.
    pub fn never() -> Self {
        Self::on(pending::<()>())
    }

    /// Sets how long to continue to accept after the first signal, so that a load balancer, for example,
    /// has the time to notice. Defaults to zero.
    pub fn drain_delay(mut self, delay: Duration) -> Self {
        self.drain_delay = delay;
        self
    }

    /// Sets the grace period: how long open connections may continue after the server has stopped
    /// accepting. Defaults to 10 seconds. With [`Duration::MAX`] there is no limit: they continue until
    /// they end, or until the second signal.
    pub fn grace(mut self, grace: Duration) -> Self {
        self.grace = grace;
        self
    }

    /// Ends the grace period when `signal` completes, if that is after the first signal.
    pub fn now_on<T>(mut self, signal: impl Future<Output = T> + Send + 'static) -> Self {
        self.now = completion(signal);
        self
    }

    /// Shuts down at SIGINT (Ctrl-C) or SIGTERM. A second one ends the grace period.
    ///
    /// From this call on, these signals no longer terminate the process.
    ///
    /// # Errors
    /// The operating system's error if the signals cannot be watched.
    pub fn on_signals() -> io::Result<Self> {
        let mut signals = Signals::new()?;
        let (second, begin_is_over) = tokio::sync::oneshot::channel();
        let begin = async move {
            signals.next().await;
            // Sending fails only if nobody waits for the second signal.
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
