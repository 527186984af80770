//! Signals, from before anything that takes time: none of those that mean something to a server ends it
//! in passing.

use evconn::Shutdown;
use std::io;
use std::time::Duration;
use tokio::sync::watch;

/// How long something may take to get done when a signal says meanwhile that the process is to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// The signals that a server knows, from when this is made.
pub struct Signals {
    /// How many have said that it is to end.
    ends: watch::Receiver<u32>,
    /// Each says that files are to be read again.
    pub hangups: Hangups,
}

impl Signals {
    /// Watch them from now on. To be called within a tokio runtime.
    ///
    /// # Errors
    /// What the operating system says when they cannot be watched.
    pub fn watch() -> io::Result<Self> {
        ignore_users()?;
        let hangups = Hangups::watch()?;
        let mut endings = Endings::watch()?;
        let (count, ends) = watch::channel(0);
        tokio::spawn(async move {
            loop {
                endings.next().await;
                count.send_modify(|count| *count += 1);
            }
        });
        Ok(Self { ends, hangups })
    }

    /// A server begins to end at the first signal, and ends at the second one.
    pub fn shutdown(&self) -> Shutdown {
        Shutdown::on(after(self.ends.clone(), 1)).now_on(after(self.ends.clone(), 2))
    }

    /// What `work` comes to, unless a signal says before that the process is to end.
    pub async fn unless_ended<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.unless_ended_for(Duration::ZERO, work).await
    }

    /// The same of something that leaves more behind if it is given up than if it gets done: it has some
    /// time for that.
    pub async fn unless_ended_for_long<T>(&self, work: impl Future<Output = T>) -> Option<T> {
        self.unless_ended_for(PATIENCE, work).await
    }

    async fn unless_ended_for<T>(
        &self,
        patience: Duration,
        work: impl Future<Output = T>,
    ) -> Option<T> {
        let ended = async {
            after(self.ends.clone(), 1).await;
            tokio::time::sleep(patience).await;
        };
        tokio::select! {
            biased;
            output = work => Some(output),
            () = ended => None,
        }
    }
}

/// Wait until so many signals have said that it is to end.
async fn after(mut ends: watch::Receiver<u32>, wanted: u32) {
    if ends.wait_for(|count| *count >= wanted).await.is_err() {
        // The runtime ends, and all that waits with it.
        std::future::pending().await
    }
}

#[cfg(unix)]
pub use unix::{Endings, Hangups, ignore_users};

#[cfg(unix)]
mod unix {
    use std::io;
    use tokio::signal::unix::{Signal, SignalKind, signal};

    /// SIGINT and SIGTERM.
    pub struct Endings {
        interrupt: Signal,
        terminate: Signal,
    }

    impl Endings {
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

    /// SIGHUP. One that comes before anybody waits for it is not lost.
    pub struct Hangups(Signal);

    impl Hangups {
        pub fn watch() -> io::Result<Self> {
            signal(SignalKind::hangup()).map(Self)
        }

        pub async fn next(&mut self) -> Option<()> {
            self.0.recv().await
        }
    }

    /// SIGUSR1 and SIGUSR2 mean nothing, and would end the process. Who has asked for one of them once
    /// has it handled for as long as the process lives.
    pub fn ignore_users() -> io::Result<()> {
        for kind in [SignalKind::user_defined1(), SignalKind::user_defined2()] {
            drop(signal(kind)?);
        }
        Ok(())
    }
}

#[cfg(not(unix))]
pub use elsewhere::{Endings, Hangups, ignore_users};

#[cfg(not(unix))]
mod elsewhere {
    use std::io;
    use tokio::signal::windows::{CtrlC, ctrl_c};

    /// Ctrl-C.
    pub struct Endings(CtrlC);

    impl Endings {
        pub fn watch() -> io::Result<Self> {
            ctrl_c().map(Self)
        }

        pub async fn next(&mut self) {
            self.0.recv().await;
        }
    }

    /// There is no such signal.
    pub struct Hangups;

    impl Hangups {
        pub fn watch() -> io::Result<Self> {
            Ok(Self)
        }

        pub async fn next(&mut self) -> Option<()> {
            None
        }
    }

    pub fn ignore_users() -> io::Result<()> {
        Ok(())
    }
}
