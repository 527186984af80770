//! The sending direction of a connection: what was written and the kernel has not taken, and whether more may
//! be written.

use super::buffers::Received;
use crate::policy::{Account, Charge, Counted};
use crate::transport::Transport;
use bytes::{Buf, Bytes};
use rustix::net::Shutdown;
use std::io;
use std::task::{Context, Poll, ready};

/// How much is to be written at a time: no more than that is kept for a peer that does not read.
pub const MOST_UNSENT: usize = 512 << 10;

/// How much may be written at a time however much its guest has unsent elsewhere: no connection has to wait
/// for another one.
const LEAST_UNSENT: usize = 4 << 10;

#[derive(Debug, Default)]
pub struct Sending {
    /// The rest of the last write.
    rest: Bytes,
    /// What the guest's account is charged for it, or for what the guest was permitted to write. None: it is
    /// not counted.
    charge: Option<Charge>,
    direction: Direction,
    /// Whether a task sends the rest.
    in_background: bool,
    /// Why that task has failed. The next call reports it, once.
    failed: Option<io::Error>,
}

#[derive(Debug, Default)]
enum Direction {
    #[default]
    Open,
    /// Nothing more may be written. The peer is not told so yet.
    Closed,
    /// Nothing more may be written. The peer is told so when the rest is sent.
    Ending,
    /// The peer was told, or is gone.
    Ended,
}

impl Sending {
    /// Charges what is not sent to this account.
    pub fn charge_to(&mut self, account: &Account) {
        let mut charge = Charge::none(account.clone(), Counted::Unsent);
        charge.set(self.rest.len());
        self.charge = Some(charge);
    }

    /// Returns how much may be written now that there is no rest. It stays reserved until it is written.
    pub fn permit(&mut self) -> usize {
        match &mut self.charge {
            Some(charge) if self.rest.is_empty() => {
                charge.reserve(MOST_UNSENT, LEAST_UNSENT).max(LEAST_UNSENT)
            }
            _ => MOST_UNSENT,
        }
    }

    /// Ends the reservation for a write that will not be made.
    fn end_permit(&mut self) {
        if self.is_idle() {
            self.keep(Bytes::new());
        }
    }

    fn keep(&mut self, rest: Bytes) {
        if let Some(charge) = &mut self.charge {
            charge.set(rest.len());
        }
        self.rest = rest;
    }

    /// Whether more may be written, now or later.
    pub fn is_open(&self) -> bool {
        matches!(self.direction, Direction::Open)
    }

    /// Whether the kernel has all that was written, or will never have it.
    pub fn is_idle(&self) -> bool {
        self.rest.is_empty()
    }

    /// Whether the caller is to start a task that sends the rest.
    pub fn begin_background(&mut self) -> bool {
        !self.is_idle() && !std::mem::replace(&mut self.in_background, true)
    }

    pub fn is_in_background(&self) -> bool {
        self.in_background
    }

    /// The task ends. It holds the lock since it last looked, so that no rest is left without a task.
    pub fn end_background(&mut self, result: io::Result<()>) {
        self.in_background = false;
        if let Err(error) = result {
            self.fail(error);
        }
    }

    /// Keeps an error for the next call.
    pub fn fail(&mut self, error: io::Error) {
        self.failed.get_or_insert(error);
    }

    /// Reports what failed in the background, once.
    pub fn check_failed(&mut self) -> io::Result<()> {
        self.failed.take().map_or(Ok(()), Err)
    }

    /// Fails if nothing more may be written: with `BrokenPipe`, or with what failed in the background.
    pub fn check_open(&mut self) -> io::Result<()> {
        self.check_failed()?;
        match self.is_open() {
            true => Ok(()),
            false => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    /// Sends what the kernel takes, and keeps the rest: `rest` makes it of what was not sent. Fails if there
    /// is a rest of an earlier write.
    pub fn send(
        &mut self,
        transport: &Transport,
        bytes: &[u8],
        rest: impl FnOnce(usize) -> Bytes,
    ) -> io::Result<()> {
        self.check_open()?;
        if !self.is_idle() && !bytes.is_empty() {
            return Err(io::Error::other("the last write is not sent yet"));
        }
        let mut sent = 0;
        match send_all(transport, bytes, &mut sent) {
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                self.keep(rest(sent));
                Ok(())
            }
            result => {
                self.keep(Bytes::new());
                result.inspect_err(|_| self.give_up())
            }
        }
    }

    /// Sends as much of the rest as the kernel takes. `WouldBlock`: not all of it.
    pub fn push(&mut self, transport: &Transport) -> io::Result<()> {
        if self.is_idle() {
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
            Ok(()) => self.keep(Bytes::new()),
        }
        if matches!(self.direction, Direction::Ending) {
            self.end_now(transport);
        }
        Ok(())
    }

    /// Does the same where nobody can be told of a failure: the next call reports it. Returns whether
    /// nothing is left to be sent.
    pub fn push_unseen(&mut self, transport: &Transport) -> bool {
        match self.push(transport) {
            Ok(()) => true,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => false,
            Err(error) => {
                self.fail(error);
                true
            }
        }
    }

    /// Waits until the rest is sent.
    pub fn poll_push(
        &mut self,
        transport: &Transport,
        cx: &mut Context<'_>,
    ) -> Poll<io::Result<()>> {
        loop {
            match self.push(transport) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The next push reports an error of the socket.
                    let _ = ready!(transport.poll_writable(cx));
                }
                result => return Poll::Ready(result),
            }
        }
    }

    /// Takes no more writes, and leaves it open whether the peer is told so. The rest is sent.
    pub fn close(&mut self, transport: &Transport) {
        if self.is_open() {
            self.direction = Direction::Closed;
            self.end_permit();
            self.push_unseen(transport);
        }
    }

    /// Takes no more writes, and tells the peer so after the rest.
    pub fn end(&mut self, transport: &Transport) {
        if matches!(self.direction, Direction::Open | Direction::Closed) {
            self.direction = Direction::Ending;
            self.end_permit();
            match self.is_idle() {
                true => self.end_now(transport),
                false => drop(self.push_unseen(transport)),
            }
        }
    }

    /// Takes no more writes, and drops the rest: the peer will not have it.
    pub fn give_up(&mut self) {
        self.keep(Bytes::new());
        self.direction = Direction::Ended;
    }

    fn end_now(&mut self, transport: &Transport) {
        transport.shutdown(Shutdown::Write);
        self.direction = Direction::Ended;
    }
}

/// Sends until the kernel takes no more, and counts what it took.
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

/// The rest of what was received, from `start` on: a copy, where a small rest would keep a much larger buffer.
pub fn rest_of(received: &Received, start: usize) -> Bytes {
    let rest = &received[start..];
    match rest.len() < received.capacity() / 4 * 3 {
        true => Bytes::copy_from_slice(rest),
        false => shared(Received::clone(received)).slice(start..),
    }
}

/// What was received, without a copy.
pub fn shared(received: Received) -> Bytes {
    struct Owner(Received);
    impl AsRef<[u8]> for Owner {
        fn as_ref(&self) -> &[u8] {
            &self.0
        }
    }
    Bytes::from_owner(Owner(received))
}
