//! Signals. They are watched before anything that takes time, so that none of them ends the process by default.

use evconn::Shutdown;
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::{Notify, watch};

/// How long work that leaves something behind may go on after a signal.
const PATIENCE: Duration = Duration::from_secs(1);

/// The signals of a server, since this was made.
pub struct Signals {
    pub stops: StopSignals,
    /// Each asks for a reload.
    pub hangups: Hangups,
}

/// SIGINT and SIGTERM: how many have arrived. Each clone counts those that have arrived before it was made, too.
#[derive(Clone)]
pub struct StopSignals(watch::Receiver<u32>);

impl Signals {
    /// Watches them from now on, in a tokio runtime.
    ///
    /// # Errors
    /// The operating system's error if they cannot be watched.
    pub fn watch() -> io::Result<Self> {
        ignore_user_signals()?;
        let hangups = Hangups::watch()?;
        let mut stops = Stops::watch()?;
        let (count, stopped) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                stops.next().await;
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self {
            stops: StopSignals(stopped),
            hangups,
        })
    }
}

impl StopSignals {
    /// Returns a graceful shutdown at the first signal or when `drain` is notified, and an immediate one at the second
    /// signal.
    pub fn shutdown(&self, drain: Arc<Notify>) -> Shutdown {
        let first = after(self.0.clone(), 1);
        let begin = async move {
            tokio::select! {
                () = first => {}
                () = drain.notified() => {}
            }
        };
        Shutdown::on(begin).now_on(after(self.0.clone(), 2))
    }

    /// Whether a signal to stop has arrived.
    pub fn have_stopped(&self) -> bool {
        *self.0.borrow() > 0
    }

    /// Waits until more than `count` signals to stop have arrived. Does not borrow this value.
    pub fn stop_after(&self, count: u32) -> impl Future<Output = ()> + use<> {
        after(self.0.clone(), count + 1)
    }

    /// Returns the output of `work`, or `None` as soon as a signal stops the process.
    pub async fn unless_stopped<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.unless_stopped_for(Duration::ZERO, work).await
    }

    /// As [`unless_stopped`](Self::unless_stopped), for work that leaves something behind if it is dropped: it
    /// has some time to complete.
    pub async fn unless_stopped_for_long<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.unless_stopped_for(PATIENCE, work).await
    }

    async fn unless_stopped_for<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let stopped = async {
            after(self.0.clone(), 1).await;
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            biased;
            output = work => Some(output),
            () = stopped => None,
        }
    }
}

/// Waits for the signal with this number.
async fn after(mut stops: watch::Receiver<u32>, wanted: u32) {
    if stops.wait_for(|count| *count >= wanted).await.is_err() {
        // The runtime shuts down.
        std::future::pending().await
    }
}

#[cfg(unix)]
pub use unix::{Hangups, Stops, Upgrades, ignore_user_signals, suspend};

#[cfg(unix)]
mod unix {
    use rustix::process::{self, getpid, kill_process};
    use std::io;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// SIGINT and SIGTERM.
    pub struct Stops {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Stops {
        pub fn watch() -> io::Result<Self> {
            Ok(Self {
                interrupt: signal(SignalKind::interrupt())?,
                terminate: signal(SignalKind::terminate())?,
            })
        }

        pub async fn next(&mut self) {
            tokio::select! {
                _ = self.interrupt.recv() => {}
                _ = self.terminate.recv() => {}
            }
        }
    }

    /// SIGHUP. One that arrives before it is waited for is not lost.
    pub struct Hangups(Signal);

    impl Hangups {
        pub fn watch() -> io::Result<Self> {
            signal(SignalKind::hangup()).map(Self)
        }

        pub async fn next(&mut self) -> Option<()> {
            self.0.recv().await
        }
    }

    /// SIGUSR2, from when this is made on.
    pub struct Upgrades(Signal);

    impl Upgrades {
        pub fn watch() -> io::Result<Self> {
            signal(SignalKind::user_defined2()).map(Self)
        }

        pub async fn next(&mut self) -> Option<()> {
            self.0.recv().await
        }
    }

    /// Ignores SIGUSR1 and SIGUSR2, which would end the process. tokio keeps a signal's handler for the process's
    /// life.
    pub fn ignore_user_signals() -> io::Result<()> {
        for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            drop(signal(kind)?);
        }
        Ok(())
    }

    /// Stops this process until it is continued, as Ctrl-Z does.
    pub fn suspend() -> io::Result<()> {
        Ok(kill_process(getpid(), process::Signal::TSTP)?)
    }
}

#[cfg(windows)]
pub use windows::{Hangups, Stops, ignore_user_signals, suspend};

#[cfg(windows)]
mod windows {
    use std::io;
    use tokio::signal::windows::{CtrlC, ctrl_c};

    /// Ctrl-C.
    pub struct Stops(CtrlC);

    impl Stops {
        pub fn watch() -> io::Result<Self> {
            ctrl_c().map(Self)
        }

        pub async fn next(&mut self) {
            self.0.recv().await;
        }
    }

    /// SIGHUP does not exist here.
    pub struct Hangups;

    impl Hangups {
        pub fn watch() -> io::Result<Self> {
            Ok(Self)
        }

        pub async fn next(&mut self) -> Option<()> {
            None
        }
    }

    pub fn ignore_user_signals() -> io::Result<()> {
        Ok(())
    }
    /// Ctrl-Z does not suspend here.
    pub fn suspend() -> io::Result<()> {
        Ok(())
    }
}
