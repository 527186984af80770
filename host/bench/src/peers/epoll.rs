//! The lower bound: system calls, and the state that is needed between them.
//!
//! Each worker has an epoll instance and waits for its connections. The first worker also accepts, and
//! distributes the connections in turn. While a peer does not read, its connection is not read from.

use super::{ANY_PORT, BACKLOG, announce};
use crate::workers;
use anyhow::Result;
use rustix::buffer::spare_capacity;
use rustix::event::epoll::{self, CreateFlags, Event, EventData, EventFlags};
use rustix::fd::{AsRawFd, OwnedFd};
use rustix::io::{Errno, read, retry_on_intr, write};
use rustix::net::sockopt::set_tcp_nodelay;
use rustix::net::{
    AddressFamily, SocketAddrV4, SocketFlags, SocketType, accept_with, bind, getsockname, listen,
    socket_with,
};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

const BUFFER: usize = 64 << 10;

/// The event data of the listening socket; that of a connection is its descriptor.
const LISTENER: EventData = EventData::new_u64(u64::MAX);

pub fn serve() -> Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    let listener = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None)?;
    bind(&listener, &SocketAddrV4::new(ANY_PORT.0, ANY_PORT.1))?;
    listen(&listener, BACKLOG)?;
    let workers: Arc<[Worker]> = (0..workers())
        .map(|_| Worker::new())
        .collect::<Result<_>>()?;
    epoll::add(&workers[0].epoll, &listener, LISTENER, EventFlags::IN)?;
    announce(SocketAddr::try_from(getsockname(&listener)?)?)?;
    for number in 1..workers.len() {
        let workers = Arc::clone(&workers);
        thread::spawn(move || -> Result<()> { workers[number].run(|| Ok(())) });
    }
    let mut turn = 0;
    workers[0].run(|| {
        turn += 1;
        accept(&listener, &workers[turn % workers.len()])
    })
}

/// Accepts a connection for this worker, if there is one.
fn accept(listener: &OwnedFd, worker: &Worker) -> Result<()> {
    let flags = SocketFlags::NONBLOCK | SocketFlags::CLOEXEC;
    match accept_with(listener, flags) {
        Ok(socket) => worker.add(socket),
        // The peer may be gone.
        Err(Errno::AGAIN | Errno::CONNABORTED | Errno::INTR) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The state of a worker that others may use.
struct Worker {
    epoll: OwnedFd,
    /// Connections that the worker does not know yet.
    new: Mutex<HashMap<u64, OwnedFd>>,
}

struct Connection {
    socket: OwnedFd,
    /// Bytes that the peer has not taken yet: none, unless it does not read.
    pending: Vec<u8>,
}

impl Worker {
    fn new() -> Result<Self> {
        Ok(Self {
            epoll: epoll::create(CreateFlags::CLOEXEC)?,
            new: Mutex::default(),
        })
    }

    fn add(&self, socket: OwnedFd) -> Result<()> {
        set_tcp_nodelay(&socket, true)?;
        let number = socket.as_raw_fd() as u64;
        // Locked until the connection is registered: its worker may get an event immediately.
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        let data = EventData::new_u64(number);
        epoll::add(&self.epoll, &socket, data, EventFlags::IN)?;
        new.insert(number, socket);
        Ok(())
    }

    fn take_new(&self, number: u64) -> Option<Connection> {
        let mut new = self.new.lock().unwrap_or_else(PoisonError::into_inner);
        let socket = new.remove(&number)?;
        Some(Connection {
            socket,
            pending: Vec::new(),
        })
    }

    /// Returns only on failure.
    fn run(&self, mut accept: impl FnMut() -> Result<()>) -> Result<()> {
        let mut events = Vec::with_capacity(256);
        let mut buffer = vec![0; BUFFER];
        let mut connections = HashMap::new();
        loop {
            retry_on_intr(|| epoll::wait(&self.epoll, spare_capacity(&mut events), None))?;
            for Event { data, .. } in events.drain(..) {
                if data == LISTENER {
                    accept()?;
                    continue;
                }
                let number = data.u64();
                let known = connections.remove(&number);
                let connection = known.or_else(|| self.take_new(number));
                let turn = connection.and_then(|connection| self.turn(connection, &mut buffer));
                if let Some(connection) = turn {
                    connections.insert(number, connection);
                }
            }
        }
    }

    /// Reads and writes as much as possible. Returns the connection, unless it or its peer is at an end.
    fn turn(&self, mut connection: Connection, buffer: &mut [u8]) -> Option<Connection> {
        let was_full = !connection.pending.is_empty();
        let went_on = match was_full {
            true => connection.send_pending(),
            false => connection.echo(buffer),
        };
        let is_full = !connection.pending.is_empty();
        let goes_on = went_on.is_ok_and(|goes_on| goes_on)
            && (was_full == is_full || self.wait_for(&connection, is_full).is_ok());
        goes_on.then_some(connection)
    }

    fn wait_for(&self, connection: &Connection, is_full: bool) -> rustix::io::Result<()> {
        let wanted = match is_full {
            true => EventFlags::OUT,
            false => EventFlags::IN,
        };
        let number = connection.socket.as_raw_fd() as u64;
        epoll::modify(
            &self.epoll,
            &connection.socket,
            EventData::new_u64(number),
            wanted,
        )
    }
}

impl Connection {
    /// Echoes what has arrived. Returns whether more may follow.
    fn echo(&mut self, buffer: &mut [u8]) -> rustix::io::Result<bool> {
        let count = match read(&self.socket, &mut *buffer) {
            Ok(0) => return Ok(false),
            Err(Errno::AGAIN) => return Ok(true),
            count => count?,
        };
        let sent = send(&self.socket, &buffer[..count])?;
        self.pending.extend_from_slice(&buffer[sent..count]);
        Ok(true)
    }

    fn send_pending(&mut self) -> rustix::io::Result<bool> {
        let sent = send(&self.socket, &self.pending)?;
        self.pending.drain(..sent);
        Ok(true)
    }
}

/// Returns how many bytes the kernel takes, possibly none.
fn send(socket: &OwnedFd, bytes: &[u8]) -> rustix::io::Result<usize> {
    match write(socket, bytes) {
        Err(Errno::AGAIN) => Ok(0),
        sent => sent,
    }
}
