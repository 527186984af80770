//! The remains of a closed connection: its resources, and output that is still to be sent.
//!
//! A peer that is still sending, such as one whose upload was rejected, would be reset if its connection was
//! closed at once, and might lose the answer. So input is read and discarded, too, until it ends.
//!
//! Out of scope: waiting. The event base does that for connections that are being closed.

use crate::buffer::Buffer;
use crate::permit::Permit;
use wasi::clocks::monotonic_clock;
use wasi::io::poll;
use wasi::io::streams::{InputStream, OutputStream, StreamError};
use wasi::sockets::tcp::{ShutdownType, TcpSocket};

/// The number of input bytes that are discarded at a time. A peer that has sent more is likely to be sending
/// still, and perhaps reads only after that: see [`Unread::Much`].
const DISCARDED: u64 = 64 << 10;

/// How long [`close_now`] waits, in nanoseconds. It is enough for peers that read.
const CLOSE_NOW_TIMEOUT: u64 = 20_000_000;

/// The resources of a connection. They are dropped in this order: the streams are children of the socket,
/// and a listener that has reached its limit continues when all of them are dropped.
pub struct Streams {
    pub input: InputStream,
    pub output: OutputStream,
    pub socket: TcpSocket,
    pub permit: Option<Permit>,
}

/// The remains of a closed connection.
pub struct Remains {
    streams: Streams,
    rest: Buffer,
    is_flushed: bool,
    /// Everything is sent, and the sending direction was shut down.
    is_finished: bool,
    unread: Unread,
}

/// Input that nobody reads any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// All that the kernel had was discarded: at most [`DISCARDED`] bytes.
    Little,
    /// The kernel had more than that, and the input has not ended yet.
    Much,
    /// The input has ended, or is to be left unread.
    Nothing,
}

impl Remains {
    pub fn new(streams: Streams, rest: Buffer) -> Self {
        Self {
            streams,
            rest,
            is_flushed: false,
            is_finished: false,
            unread: Unread::Little,
        }
    }

    pub fn streams(&self) -> &Streams {
        &self.streams
    }

    /// Returns whether to wait for input.
    pub fn reads(&self) -> bool {
        self.unread != Unread::Nothing
    }

    /// Returns whether everything is sent, and the sending direction was shut down.
    pub fn is_finished(&self) -> bool {
        self.is_finished
    }

    /// Does what can be done without waiting. Returns true if nothing is left to do: the remains can be
    /// dropped.
    pub fn advance(&mut self) -> bool {
        let is_sent = self.is_finished || self.send();
        self.discard();
        if is_sent && self.unread == Unread::Much {
            self.finish();
            return false;
        }
        is_sent
    }

    /// Discards some of the input.
    fn discard(&mut self) {
        let mut left = DISCARDED;
        while left > 0 && self.unread != Unread::Nothing {
            match self.streams.input.skip(left) {
                Ok(0) => return,
                Ok(count) => left -= count.min(left),
                Err(_) => self.unread = Unread::Nothing,
            }
        }
        if left == 0 {
            self.unread = Unread::Much;
        }
    }

    /// Shuts down the sending direction.
    fn finish(&mut self) {
        if !self.is_finished {
            self.is_finished = true;
            self.shut_down_sending();
        }
    }

    fn shut_down_sending(&self) {
        // An error means that the connection has failed, which ends it anyway.
        let _ = self.streams.socket.shutdown(ShutdownType::Send);
    }

    /// Sends what can be sent without waiting. Returns true if nothing is left, or the stream has failed.
    fn send(&mut self) -> bool {
        let output = &self.streams.output;
        loop {
            let (Ok(permit), rest) = (output.check_write(), self.rest.first()) else {
                return true;
            };
            let done: Result<(), StreamError> = match (permit as usize, rest) {
                (0, _) => return false,
                (permit, [_, ..]) => {
                    let count = permit.min(rest.len());
                    let written = output.write(&rest[..count]);
                    self.rest.consume(count);
                    written
                }
                _ if self.is_flushed => return true,
                _ => {
                    self.is_flushed = true;
                    output.flush()
                }
            };
            if done.is_err() {
                return true;
            }
        }
    }

    /// Drops the output that the host has not taken, and shuts down the sending direction.
    pub fn give_up(&mut self) {
        self.rest = Buffer::new();
        self.is_flushed = true;
        self.unread = Unread::Nothing;
        self.shut_down_sending();
    }

    /// Returns a value that changes whenever the peer has accepted something.
    pub fn progress(&self) -> (usize, bool, bool) {
        (self.rest.len(), self.is_flushed, self.is_finished)
    }

    /// Leaves the resources to the host, which closes them with the instance.
    fn leak(self) {
        let Streams {
            input,
            output,
            socket,
            permit,
        } = self.streams;
        std::mem::forget((input, output, socket));
        drop(permit);
    }
}

/// Closes connections without a loop, within a short time. The host closes those that are left after it
/// together with the instance.
pub fn close_now(mut remains: Vec<Remains>) {
    let end = monotonic_clock::now().saturating_add(CLOSE_NOW_TIMEOUT);
    loop {
        let sent = remains.extract_if(.., Remains::send);
        sent.for_each(|mut remains| remains.discard());
        if remains.is_empty() {
            return;
        }
        if monotonic_clock::now() >= end {
            return remains.into_iter().for_each(Remains::leak);
        }
        let outputs = remains.iter().map(|one| one.streams.output.subscribe());
        let mut pollables: Vec<_> = outputs.collect();
        pollables.push(monotonic_clock::subscribe_instant(end));
        poll::poll(&pollables.iter().collect::<Vec<_>>());
    }
}
