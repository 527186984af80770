//! The bell: it tells the acceptors of all processes that something was given back.
//!
//! On Linux it is an eventfd that nobody reads: each write wakes every event loop that watches it. (Reading
//! it would hide the event from processes that have not noticed it yet.) Other systems have nothing that
//! wakes several processes: acceptors check again after a while.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;
#[cfg(target_os = "linux")]
use tokio::io::{Interest, unix::AsyncFd};

/// How long to wait between checks where the bell has no effect.
const WITHOUT_BELL: Duration = Duration::from_millis(10);

pub(super) struct Bell(OwnedFd);

impl Bell {
    /// Creates a bell. On other systems than Linux, its descriptor is a copy of the memory's.
    pub fn create(_memory: BorrowedFd<'_>) -> io::Result<Self> {
        #[cfg(target_os = "linux")]
        {
            use rustix::event::{EventfdFlags, eventfd};
            let bell = eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK);
            bell.map(Self)
                .map_err(super::named("create the bell of the quota"))
        }
        #[cfg(not(target_os = "linux"))]
        _memory.try_clone_to_owned().map(Self)
    }

    /// Takes the bell that another process has created.
    pub fn open(descriptor: OwnedFd) -> Self {
        Self(descriptor)
    }

    pub fn ring(&self) {
        // It fails after 2^64 writes.
        #[cfg(target_os = "linux")]
        let _ = rustix::io::write(&self.0, &1_u64.to_ne_bytes());
    }
}

impl AsFd for Bell {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Waits for the bell, in the event loop of one acceptor.
#[derive(Default)]
pub(super) struct BellWaiter {
    #[cfg(target_os = "linux")]
    bell: Option<AsyncFd<OwnedFd>>,
}

#[cfg(target_os = "linux")]
impl BellWaiter {
    /// Waits until the bell is rung, or returns at once if it was rung since the last call. May return early.
    pub async fn wait(&mut self, bell: &Bell) {
        if self.bell.is_none() {
            self.bell = register(bell);
        }
        let Some(bell) = &self.bell else {
            return tokio::time::sleep(WITHOUT_BELL).await;
        };
        match bell.readable().await {
            Ok(mut heard) => heard.clear_ready(),
            // The event loop is ending.
            Err(_) => std::future::pending().await,
        }
    }
}

#[cfg(not(target_os = "linux"))]
impl BellWaiter {
    pub async fn wait(&mut self, _bell: &Bell) {
        tokio::time::sleep(WITHOUT_BELL).await;
    }
}

/// Registers the bell with this event loop. If it was rung before, that is noticed. Each acceptor has a
/// descriptor of its own, since an event loop accepts each only once.
#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "tokio's safe constructor is deprecated: it takes types whose descriptor may change"
)]
fn register(bell: &Bell) -> Option<AsyncFd<OwnedFd>> {
    let registered = bell.0.try_clone().and_then(|copy| {
        // SAFETY: an `OwnedFd` is one open descriptor for as long as it lives, and the registration owns it.
        let registered = unsafe { AsyncFd::register_with_interest(copy, Interest::READABLE) };
        registered.map_err(io::Error::from)
    });
    match registered {
        Ok(registered) => Some(registered),
        Err(error) => {
            tracing::debug!(
                "cannot wait for the bell of the quota, checking periodically: {error}"
            );
            None
        }
    }
}
