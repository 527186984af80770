//! The failure of a connection, as the calls of its socket report it. The kernel reports an error once: if a call
//! gets it before the event loop looks, the event loop never knows.

use std::io::{self, ErrorKind};
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::Notify;

#[derive(Debug, Default)]
pub struct Reported {
    has_failed: AtomicBool,
    /// Notified when it fails.
    failed: Notify,
    /// That nothing more can be sent is no failure.
    may_end: AtomicBool,
}

impl Reported {
    /// Notes an error of a call, if it means that the connection has failed.
    pub fn note(&self, error: &io::Error) {
        let is_failure = match error.kind() {
            ErrorKind::ConnectionReset
            | ErrorKind::ConnectionAborted
            | ErrorKind::TimedOut
            | ErrorKind::HostUnreachable
            | ErrorKind::NetworkUnreachable => true,
            // A reset by a peer that had ended its side.
            ErrorKind::BrokenPipe => !self.may_end.load(Ordering::Relaxed),
            _ => false,
        };
        if is_failure && !self.has_failed.swap(true, Ordering::AcqRel) {
            self.failed.notify_waiters();
        }
    }

    /// From here on, the sending direction may end while the connection goes on.
    pub fn sending_may_end(&self) {
        self.may_end.store(true, Ordering::Relaxed);
    }

    /// Waits until a call has reported a failure.
    pub async fn failure(&self) {
        let failed = self.failed.notified();
        // It may have failed before.
        if !self.has_failed.load(Ordering::Acquire) {
            failed.await;
        }
    }
}
