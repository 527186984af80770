//! The sending direction of a connection: what was written but not yet taken by the kernel, and
//! whether more may come.

use crate::connection::buffers::Received;
use crate::transport::Transport;
use bytes::{Buf, Bytes};
use rustix::net::Shutdown;
use std::io;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

#[derive(Debug, Default)]
pub(crate) struct Sending {
    /// The rest of the last write.
    rest: Bytes,
    state: State,
    /// The rest is to be sent at the end of the round, which nobody has seen to so far.
    kept: bool,
    /// Whether a task sends the rest, whatever the owner does meanwhile.
    in_background: bool,
    /// Why that task has failed: the owner has yet to be told.
    failed: Option<io::Error>,
}

#[derive(Debug, Default)]
enum State {
    #[default]
    Open,
    /// No more is taken. The peer is not told so yet.
    Closed,
    /// No more is taken. The peer is told so when the rest is sent.
    Ending,
    /// The peer was told, or is gone.
    Ended,
}

impl Sending {
    /// Whether more may be written.
    pub fn is_open(&self) -> bool {
        matches!(self.state, State::Open)
    }

    /// Whether all that was written is sent, or will never be.
    pub fn is_idle(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether a task is to be started that sends the rest: then it is one's own to do so.
    pub fn begin_background(&mut self) -> bool {
        self.kept = false;
        !self.is_idle() && !std::mem::replace(&mut self.in_background, true)
    }

    /// Whether there is a rest that nobody sends, or waits for.
    pub fn is_kept(&self) -> bool {
        self.kept
    }

    pub fn is_in_background(&self) -> bool {
        self.in_background
    }

    /// The task has ended; under the same lock as its last look, so that no rest is left to nobody.
    pub fn end_background(&mut self, result: io::Result<()>) {
        self.in_background = false;
        self.failed = self.failed.take().or(result.err());
    }

    /// Whether more may be written: `BrokenPipe` if not. What has failed while nobody was looking is said
    /// once.
    pub fn check_open(&mut self) -> io::Result<()> {
        if self.failed.is_none() && self.is_open() {
            return Ok(());
        }
        let broken = || io::ErrorKind::BrokenPipe.into();
        Err(self.failed.take().unwrap_or_else(broken))
    }

    /// Send what the kernel takes, if more may be written, and keep the rest: `rest` makes it, given how
    /// much was sent. To be called when nothing is left of the last write.
    pub fn send(
        &mut self,
        transport: &Transport,
        bytes: &[u8],
        rest: impl FnOnce(usize) -> Bytes,
    ) -> io::Result<()> {
        debug_assert!(self.rest.is_empty() || bytes.is_empty());
        self.check_open()?;
        let mut sent = 0;
        match send_all(transport, bytes, &mut sent) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.rest = rest(sent);
                Ok(())
            }
            Err(error) => {
                self.give_up();
                Err(error)
            }
            Ok(()) => Ok(()),
        }
    }

    /// Keep all of it for now, if more may be written. To be called when nothing is left of the last
    /// write.
    pub fn keep(&mut self, bytes: &[u8]) -> io::Result<()> {
        debug_assert!(self.rest.is_empty());
        self.check_open()?;
        self.rest = Bytes::copy_from_slice(bytes);
        self.kept = true;
        Ok(())
    }

    /// Send as much of the rest as the kernel takes. `WouldBlock`: not all of it.
    pub fn push(&mut self, transport: &Transport) -> io::Result<()> {
        if self.rest.is_empty() {
            return Ok(());
        }
        let mut sent = 0;
        let result = send_all(transport, &self.rest, &mut sent);
        self.rest.advance(sent);
        match result {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Err(error),
            Err(error) => {
                self.give_up();
                return Err(error);
            }
            Ok(()) => self.drop_rest(),
        }
        if matches!(self.state, State::Ending) {
            self.end_now(transport);
        }
        Ok(())
    }

    /// The same while nobody is looking: the owner is told later of what fails. Whether nothing is left
    /// to be sent.
    pub fn push_unseen(&mut self, transport: &Transport) -> bool {
        match self.push(transport) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                self.failed.get_or_insert(error);
                true
            }
        }
    }

    /// Wait until the kernel has taken the rest.
    pub fn poll_push(
        &mut self,
        transport: &Transport,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.push(transport) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // An error of the socket is what the next push says.
                    let _ = ready!(transport.poll_writable(cx));
                }
                Ok(()) if self.is_open() => return transport.poll_flush(cx),
                result => return Poll::Ready(result),
            }
        }
    }

    /// Take no more, and leave it open whether the peer is told so: the rest is sent in any case.
    pub fn close(&mut self, transport: &Transport) {
        if self.is_open() {
            self.state = State::Closed;
            self.push_unseen(transport);
        }
    }

    /// Take no more, and tell the peer so after the rest: now, if the kernel takes that.
    pub fn end(&mut self, transport: &Transport) {
        if matches!(self.state, State::Open | State::Closed) {
            self.state = State::Ending;
            match self.rest.is_empty() {
                true => self.end_now(transport),
                false => drop(self.push_unseen(transport)),
            }
        }
    }

    /// Take no more, and drop the rest: the peer will not have it.
    pub fn give_up(&mut self) {
        self.drop_rest();
        self.state = State::Ended;
    }

    fn drop_rest(&mut self) {
        self.rest = Bytes::new();
        self.kept = false;
    }

    fn end_now(&mut self, transport: &Transport) {
        transport.shutdown(Shutdown::Write);
        self.state = State::Ended;
    }
}

/// The lock of a [`Sending`]: it tells of itself whether a write may be made, which is asked for each.
#[derive(Debug, Default)]
pub(crate) struct SendingLock {
    sending: Mutex<Sending>,
    is_clear: AtomicBool,
}

impl SendingLock {
    pub fn lock(&self) -> SendingGuard<'_> {
        // Nothing in there panics halfway.
        let sending = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        SendingGuard {
            sending,
            is_clear: &self.is_clear,
        }
    }

    /// Whether a write may be made now. If not, there is something to be told, or to be waited for.
    pub fn is_clear(&self) -> bool {
        self.is_clear.load(Ordering::Relaxed)
    }
}

pub(crate) struct SendingGuard<'a> {
    sending: MutexGuard<'a, Sending>,
    is_clear: &'a AtomicBool,
}

impl Deref for SendingGuard<'_> {
    type Target = Sending;

    fn deref(&self) -> &Sending {
        &self.sending
    }
}

impl DerefMut for SendingGuard<'_> {
    fn deref_mut(&mut self) -> &mut Sending {
        &mut self.sending
    }
}

impl Drop for SendingGuard<'_> {
    fn drop(&mut self) {
        let sending = &self.sending;
        let is_clear = sending.is_open() && sending.is_idle() && sending.failed.is_none();
        self.is_clear.store(is_clear, Ordering::Relaxed);
    }
}

/// Send until the kernel takes no more, and count it.
fn send_all(transport: &Transport, bytes: &[u8], sent: &mut usize) -> io::Result<()> {
    while *sent < bytes.len() {
        match transport.try_send(&bytes[*sent..]) {
            Ok(count) => *sent += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// What was received, to be kept without a copy of it.
pub(crate) fn shared(received: Received) -> Bytes {
    struct Owner(Received);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Owner(received))
}

/// What is left of what was received, from there on: a copy, where a small rest would hold on to much
/// more memory than it needs.
pub(crate) fn rest_of(received: &Received, start: usize) -> Bytes {
    let rest = &received[start..];
    match rest.len() < received.capacity() / 2 {
        true => Bytes::copy_from_slice(rest),
        false => shared(Received::clone(received)).slice(start..),
    }
}
