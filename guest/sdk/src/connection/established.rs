use super::{Attempt, Direction};
use crate::base::closing::{self, Remains, Streams};
use crate::base::{Core, EventBase};
use crate::bindings::imports::evconn::tcp::connection as wit;
use crate::buffer::Buffer;
use crate::permit::Permit;
use crate::watch::Watches;
use crate::{address, error};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use wasi::io::poll::Pollable;
use wasi::io::streams::StreamError;
use wasi::sockets::tcp::{ShutdownType, TcpSocket};

/// An established connection: what libevent's callback is given as a socket.
///
/// It is a [`Read`] and a [`Write`] of the standard library, and so is a reference to it. One that comes from a listener is
/// non-blocking, as with libevent: where it would have to wait, it fails with
/// [`ErrorKind::WouldBlock`]. One that is given to a [`service!`](crate::service!) is blocking.
///
/// Dropping it closes it. One that comes from a listener or from [`connect`](Self::connect) never
/// waits then: what the kernel has not taken yet is sent by the loop. Only after the loop has ended is
/// that lost.
///
/// # Cost
/// Each read and write is a call of the host, or two. With many connections in one loop,
/// [`EventBase::watch`] or a [`BufferedConnection`](crate::BufferedConnection) waits for them.
///
/// ```no_run
/// use evconn_guest::Connection;
/// use std::io::{self, Read, Write};
///
/// fn shout(mut connection: Connection) -> io::Result<()> {
///     connection.set_nonblocking(false);
///     let mut text = String::new();
///     connection.read_to_string(&mut text)?;
///     connection.write_all(text.to_uppercase().as_bytes())
/// }
/// ```
pub struct Connection {
    /// None once it was taken apart.
    streams: Option<Streams>,
    watches: Watches,
    peer: SocketAddr,
    nonblocking: bool,
    home: Home,
}

/// Who closes it.
enum Home {
    /// Nobody else: dropping it may wait, and loses nothing.
    None,
    Base(Weak<Core>),
}

impl Connection {
    pub(crate) fn accepted(
        connection: wit::Connection,
        permit: Permit,
        base: &EventBase,
        nonblocking: bool,
    ) -> Self {
        Self {
            peer: address::from_wasi(connection.peer_address),
            streams: Some(Streams {
                input: connection.input,
                output: connection.output,
                socket: connection.socket,
                permit: Some(permit),
            }),
            watches: Watches::default(),
            nonblocking,
            home: Home::Base(Rc::downgrade(&base.0)),
        }
    }

    pub(crate) fn connected(streams: Streams, peer: SocketAddr, base: &EventBase) -> Self {
        Self {
            streams: Some(streams),
            watches: Watches::default(),
            peer,
            nonblocking: true,
            home: Home::Base(Rc::downgrade(&base.0)),
        }
    }

    /// What a service is given.
    #[doc(hidden)]
    pub fn of_service(connection: wit::Connection) -> Self {
        Self {
            peer: address::from_wasi(connection.peer_address),
            streams: Some(Streams {
                input: connection.input,
                output: connection.output,
                socket: connection.socket,
                permit: None,
            }),
            watches: Watches::default(),
            nonblocking: false,
            home: Home::None,
        }
    }

    /// Connect to a peer, without waiting: `function` is called by the loop once it is known what
    /// came of it. [`BufferedConnection::connect`](crate::BufferedConnection::connect) is for those
    /// who want to go on with a buffer.
    ///
    /// # Errors
    /// If it fails at once: the address cannot be connected to, or is not granted. `function` is
    /// not called then.
    ///
    /// ```no_run
    /// use evconn_guest::{Connection, EventBase};
    ///
    /// let base = EventBase::new();
    /// Connection::connect(&base, ([127, 0, 0, 1], 9876), |_, connected| match connected {
    ///     Ok(connection) => println!("from {:?}", connection.local_addr()),
    ///     Err(error) => println!("{error}"),
    /// })?;
    /// base.dispatch();
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect(
        base: &EventBase,
        address: impl Into<SocketAddr>,
        function: impl FnOnce(&EventBase, io::Result<Self>) + 'static,
    ) -> io::Result<()> {
        let peer = address.into();
        let done = move |base: &EventBase, streams: io::Result<Streams>| {
            let connection = streams.map(|streams| Self::connected(streams, peer, base));
            function(base, connection);
        };
        Attempt::start(base, peer, Box::new(done))?;
        Ok(())
    }

    /// Whether reading and writing fail with [`ErrorKind::WouldBlock`] where they would have to
    /// wait. When they wait, the whole instance does, its loop included.
    ///
    /// ```no_run
    /// # fn f(mut connection: evconn_guest::Connection) {
    /// connection.set_nonblocking(false);
    /// # }
    /// ```
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.nonblocking = nonblocking;
    }

    /// The peer's address, as it was when the connection was made.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) {
    /// println!("{}", connection.peer_addr());
    /// # }
    /// ```
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// The address of this side.
    ///
    /// # Errors
    /// What the host says.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) -> std::io::Result<()> {
    /// let port = connection.local_addr()?.port();
    /// # Ok(())
    /// # }
    /// ```
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        let address = self.socket().local_address().map_err(error::of_socket)?;
        Ok(address::from_wasi(address))
    }

    /// End a direction. What was written before is sent.
    ///
    /// # Errors
    /// What the host says.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction};
    /// # fn f(connection: Connection) -> std::io::Result<()> {
    /// connection.shutdown(Direction::Write)
    /// # }
    /// ```
    pub fn shutdown(&self, direction: Direction) -> io::Result<()> {
        let how = match direction {
            Direction::Read => ShutdownType::Receive,
            Direction::Write => ShutdownType::Send,
            Direction::Both => ShutdownType::Both,
        };
        self.socket().shutdown(how).map_err(error::of_socket)
    }

    /// Read what is there, up to `max` bytes: none is the end, as of [`read`](Read::read), unless `max` is 0.
    ///
    /// The bytes are where the host has put them: other than with `read`, no buffer has to be made ready
    /// before there is something to read, and nothing is copied once more. With a large `max`, such as
    /// 512 KiB, this is the fastest way for many bytes; few take no more room than they need.
    ///
    /// # Errors
    /// As `read`: [`ErrorKind::WouldBlock`] if it is [non-blocking](Self::set_nonblocking) and nothing is
    /// there, [`ErrorKind::ConnectionReset`] if the peer has reset it.
    ///
    /// ```no_run
    /// use evconn_guest::Connection;
    /// use std::io::{self, Write};
    ///
    /// fn count(mut connection: Connection) -> io::Result<()> {
    ///     let mut total = 0;
    ///     loop {
    ///         match connection.read_chunk(512 << 10)?.len() {
    ///             0 => return writeln!(connection, "{total} bytes"),
    ///             count => total += count,
    ///         }
    ///     }
    /// }
    /// ```
    pub fn read_chunk(&self, max: usize) -> io::Result<Vec<u8>> {
        if max == 0 {
            return Ok(Vec::new());
        }
        let input = &self.streams().input;
        loop {
            let bytes = match self.nonblocking {
                true => input.read(max as u64),
                false => input.blocking_read(max as u64),
            };
            match bytes {
                // A host may wake up for nothing.
                Ok(bytes) if bytes.is_empty() && !self.nonblocking => {}
                Ok(bytes) if bytes.is_empty() => return Err(ErrorKind::WouldBlock.into()),
                Ok(bytes) => return Ok(bytes),
                Err(StreamError::Closed) => return Ok(Vec::new()),
                Err(StreamError::LastOperationFailed(error)) => {
                    return Err(error::of_stream(&error));
                }
            }
        }
    }

    /// The socket, for what this crate has no method for.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) {
    /// let family = connection.socket().address_family();
    /// # }
    /// ```
    pub fn socket(&self) -> &TcpSocket {
        &self.streams().socket
    }

    pub(crate) fn watches(&self) -> &Watches {
        &self.watches
    }

    /// Pollables of its input and its output, as far as they are wanted. They are to be dropped before
    /// the streams.
    pub(crate) fn subscribe(&self, direction: Direction) -> (Option<Pollable>, Option<Pollable>) {
        let streams = self.streams();
        let input = (direction != Direction::Write).then(|| streams.input.subscribe());
        let output = (direction != Direction::Read).then(|| streams.output.subscribe());
        (input, output)
    }

    fn streams(&self) -> &Streams {
        self.streams.as_ref().expect("only its end takes them")
    }

    /// What it is made of, for one who closes it as it has to be.
    pub(crate) fn into_streams(mut self) -> Streams {
        self.watches.end();
        self.streams.take().expect("only its end takes them")
    }
}

impl Read for &Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let chunk = self.read_chunk(buffer.len())?;
        buffer[..chunk.len()].copy_from_slice(&chunk);
        Ok(chunk.len())
    }
}

impl Write for &Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let output = &self.streams().output;
        if bytes.is_empty() {
            return Ok(0);
        }
        loop {
            match output.check_write().map_err(error::of_output)? as usize {
                0 if self.nonblocking => {
                    self.watches.written(false);
                    return Err(ErrorKind::WouldBlock.into());
                }
                0 => output.subscribe().block(),
                permit => {
                    let count = permit.min(bytes.len());
                    output.write(&bytes[..count]).map_err(error::of_output)?;
                    self.watches.written(true);
                    return Ok(count);
                }
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        let output = &self.streams().output;
        let flushed = match self.nonblocking {
            true => output.flush(),
            false => output.blocking_flush(),
        };
        flushed.map_err(error::of_output)
    }
}

/// As for `&Connection`.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

/// As for `&Connection`.
impl Write for Connection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        (&*self).flush()
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        self.watches.end();
        let Some(streams) = self.streams.take() else {
            return;
        };
        match &self.home {
            Home::None => drop(streams),
            Home::Base(base) => match base.upgrade() {
                Some(core) => closing::close(&core, streams, Buffer::new()),
                None => closing::close_now(vec![Remains::new(streams, Buffer::new())]),
            },
        }
    }
}

impl std::fmt::Debug for Connection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Connection")
            .field("peer", &self.peer)
            .finish()
    }
}
