//! Receiving, and waiting for something to receive.

use super::endpoint::Endpoint;
use rustix::net::Shutdown;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

impl Endpoint {
    /// Receives up to the size of the buffer. 0: the peer has ended its side, or
    /// this side has ended receiving.
    ///
    /// # Errors
    /// `WouldBlock` if nothing is there, or what the operating system reports.
    pub fn try_recv(&self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.received_all() {
            return Ok(0);
        }
        let result = self.link.transport.try_recv(buffer);
        let is_over = match &result {
            Ok(count) => *count == 0 && !buffer.is_empty(),
            Err(error) => error.kind() != io::ErrorKind::WouldBlock,
        };
        if is_over {
            self.link.received_all.store(true, Ordering::Relaxed);
        }
        result
    }

    fn received_all(&self) -> bool {
        self.link.received_all.load(Ordering::Relaxed)
    }

    /// Whether a receive would find bytes or an end. Whoever gets an error here has to keep it: a
    /// receive may not find it any more.
    fn has_input(&self) -> io::Result<bool> {
        match self.received_all() {
            true => Ok(true),
            false => self.link.transport.has_input(),
        }
    }

    /// Whether waiting is as good as trying: the event loop reports whatever a receive could find.
    pub(crate) fn is_told_of_input(&self) -> bool {
        !self.has_failed.load(Ordering::Acquire) && self.link.transport.is_told_of_input()
    }

    /// Waits until a receive may find something.
    pub fn poll_readable(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match self.received_all() {
            true => Poll::Ready(Ok(())),
            false => self.link.transport.poll_readable(cx),
        }
    }

    /// Waits until a read finds bytes, an end, or an error.
    pub(crate) fn poll_input_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        while !self.has_failed.load(Ordering::Acquire) {
            // The next read reports an error of the socket.
            let _ = ready!(self.poll_readable(cx));
            if self.was_ready.load(Ordering::Relaxed) && !self.plain().has_urgent() {
                break;
            }
            // A socket may count as readable until a first attempt has failed (tokio from 1.54 on), and
            // for urgent data, which is not received.
            match self.has_input() {
                Ok(true) => {
                    self.set_was_ready();
                    break;
                }
                Ok(false) => {}
                Err(error) => {
                    *self.receive_failure() = Some(error);
                    self.has_failed.store(true, Ordering::Release);
                }
            }
        }
        Poll::Ready(())
    }

    /// A read has found something.
    pub(crate) fn set_was_ready(&self) {
        self.was_ready.store(true, Ordering::Relaxed);
    }

    /// Returns what went wrong while nobody read, once.
    pub(crate) fn take_receive_failure(&self) -> Option<io::Error> {
        match self.has_failed.load(Ordering::Acquire) {
            true => self.receive_failure().take(),
            false => None,
        }
    }

    fn receive_failure(&self) -> MutexGuard<'_, Option<io::Error>> {
        let failure = self.receive_failure.lock();
        failure.unwrap_or_else(PoisonError::into_inner)
    }

    /// Receives no more. What is there is discarded, and what comes does not make the connection's end a reset.
    pub(crate) fn end_receiving(&self) {
        self.link.is_unwanted.store(true, Ordering::Relaxed);
        self.link.received_all.store(true, Ordering::Relaxed);
        self.link.transport.shutdown(Shutdown::Read);
    }
}
