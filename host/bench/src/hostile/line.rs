//! One good connection.

use super::act::Front;
use super::wire::Wire;
use anyhow::{Context, Result, ensure};
use std::collections::VecDeque;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::{Duration, Instant};

/// The size of a message.
const MESSAGE: usize = 64;

/// How long it may take to be served.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Line {
    wire: Wire,
    number: u32,
    /// How many bytes were sent and received.
    sent: u64,
    received: u64,
    /// When the messages were due that are not answered yet.
    waiting: VecDeque<Instant>,
    failure: Option<String>,
}

impl Line {
    /// Connects, and waits until the server echoes.
    pub fn open(server: SocketAddr, front: Front, number: u32) -> Result<Self> {
        let stream = TcpStream::connect_timeout(&server, DEADLINE).context("cannot connect")?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(DEADLINE))?;
        let mut wire = Wire::new(stream, front)?;
        wire.write_all(b"echo\n")?;
        let mut answer = [0; 3];
        wire.read_exact(&mut answer).context("not served")?;
        ensure!(&answer == b"ok\n", "the service answers {answer:?}");
        wire.socket().set_nonblocking(true)?;
        Ok(Self {
            wire,
            number,
            sent: 0,
            received: 0,
            waiting: VecDeque::new(),
            failure: None,
        })
    }

    pub fn socket(&self) -> &TcpStream {
        self.wire.socket()
    }

    /// Returns why it is of no use any more.
    pub fn failure(&self) -> Option<&str> {
        self.failure.as_deref()
    }

    /// Sends a message, which was due at this time.
    pub fn send(&mut self, scheduled: Instant) {
        if self.failure.is_some() {
            return;
        }
        let message: [u8; MESSAGE] = std::array::from_fn(|at| self.byte(self.sent + at as u64));
        match self.wire.write(&message) {
            Ok(MESSAGE) => {
                self.sent += MESSAGE as u64;
                self.waiting.push_back(scheduled);
            }
            Ok(count) => self.fail(format!("{count} bytes of a message were sent")),
            Err(error) => self.fail(format!("cannot send: {error}")),
        }
    }

    /// Receives what has come. Returns when the messages were due that are answered now.
    pub fn receive(&mut self) -> Vec<Instant> {
        let mut buffer = [0; 4096];
        let mut answered = Vec::new();
        while self.failure.is_none() {
            match self.wire.read(&mut buffer) {
                Ok(0) => self.fail("the server has ended it".to_owned()),
                Ok(count) => answered.extend(self.check(&buffer[..count])),
                Err(error) if error.kind() == ErrorKind::WouldBlock => break,
                Err(error) => self.fail(error.to_string()),
            }
        }
        answered
    }

    fn check(&mut self, bytes: &[u8]) -> Vec<Instant> {
        let before = self.received;
        let is_right = |(at, &byte)| byte == self.byte(before + at as u64);
        if !bytes.iter().enumerate().all(is_right) {
            self.fail("what came back is not what was sent".to_owned());
            return Vec::new();
        }
        self.received += bytes.len() as u64;
        if self.received > self.sent {
            self.fail("more came back than was sent".to_owned());
        }
        let complete = self.received / MESSAGE as u64 - before / MESSAGE as u64;
        let complete = self.waiting.len().min(complete as usize);
        self.waiting.drain(..complete).collect()
    }

    /// The byte at this place of the stream, which is another one on each connection.
    fn byte(&self, at: u64) -> u8 {
        (at * 31 + at / 251 + u64::from(self.number)) as u8
    }

    fn fail(&mut self, why: String) {
        self.failure.get_or_insert(why);
    }
}
