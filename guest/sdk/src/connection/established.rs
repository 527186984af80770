//! The type `Connection`.

use super::attempt::Attempt;
use super::direction::Direction;
use super::watches::Watches;
use crate::base::{self, Core, EventBase};
use crate::bindings::imports::evconn::tcp::connection as wit;
use crate::buffer::Buffer;
use crate::permit::Permit;
use crate::remains::{self, Remains, Streams};
use crate::{address, error};
use std::io::{self, ErrorKind, Read, Write};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use wasi::io::poll::Pollable;
use wasi::io::streams::StreamError;
use wasi::sockets::tcp::{ShutdownType, TcpSocket};

/// An established connection: the socket that libevent's callback is called with.
///
/// Both `Connection` and `&Connection` implement the standard library's [`Read`] and [`Write`]. A connection
/// from a listener is non-blocking, as with libevent: a call that would have to wait fails with
/// [`ErrorKind::WouldBlock`]. The connection that a [`service!`](crate::service!) is called with is blocking.
///
/// Dropping a connection closes it. A connection from a listener or from [`connect`](Self::connect) never
/// waits when it is dropped: the loop sends what the kernel has not accepted yet. These bytes are lost only
/// if the loop has ended.
///
/// # Cost
/// Each read makes one host call, each write two. With many connections in one loop, wait for them with
/// [`EventBase::watch`] or a [`BufferedConnection`](crate::BufferedConnection).
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
    /// None once they were taken out.
    streams: Option<Streams>,
    watches: Watches,
    peer: SocketAddr,
    nonblocking: bool,
    closer: Closer,
}

/// What closes the connection when it is dropped.
enum Closer {
    /// The drop of its resources, which may wait, and loses nothing.
    Drop,
    /// The event base.
    Base(Weak<Core>),
}

impl Connection {
    pub(crate) fn accepted(
        connection: wit::Connection,
        permit: Permit,
        base: &EventBase,
        nonblocking: bool,
    ) -> Self {
        let closer = Closer::Base(Rc::downgrade(&base.0));
        let mut connection = Self::of_wit(connection, nonblocking, closer);
        if let Some(streams) = &mut connection.streams {
            streams.permit = Some(permit);
        }
        connection
    }

    fn connected(streams: Streams, peer: SocketAddr, base: &EventBase) -> Self {
        Self {
            streams: Some(streams),
            watches: Watches::default(),
            peer,
            nonblocking: true,
            closer: Closer::Base(Rc::downgrade(&base.0)),
        }
    }

    /// Makes the connection that a service is called with.
    #[doc(hidden)]
    pub fn of_service(connection: wit::Connection) -> Self {
        Self::of_wit(connection, false, Closer::Drop)
    }

    /// Without a permit: as a parameter, the compiler would take that of a listener for the only one that
    /// there is, and a service would import the listener.
    fn of_wit(connection: wit::Connection, nonblocking: bool, closer: Closer) -> Self {
        Self {
            peer: address::from_wasi(connection.peer_address),
            streams: Some(Streams {
                input: connection.input,
                output: connection.output,
                socket: connection.socket,
                permit: None,
            }),
            watches: Watches::default(),
            nonblocking,
            closer,
        }
    }

    /// Connects to a peer, without waiting. The loop calls `function` with the outcome.
    /// [`BufferedConnection::connect`](crate::BufferedConnection::connect) does the same for a buffered
    /// connection.
    ///
    /// # Errors
    /// Returns an error if connecting fails at once: the address cannot be connected to, or is not granted.
    /// `function` is not called then.
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

    /// Sets whether reading and writing fail with [`ErrorKind::WouldBlock`] instead of waiting. A call that
    /// waits blocks the whole instance, including its loop.
    ///
    /// ```no_run
    /// # fn f(mut connection: evconn_guest::Connection) {
    /// connection.set_nonblocking(false);
    /// # }
    /// ```
    pub fn set_nonblocking(&mut self, nonblocking: bool) {
        self.nonblocking = nonblocking;
    }

    /// Returns the peer's address, as it was when the connection was established.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::Connection) {
    /// println!("{}", connection.peer_addr());
    /// # }
    /// ```
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer
    }

    /// Returns the local address.
    ///
    /// # Errors
    /// Returns the host's error.
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

    /// Shuts down one direction, or both. Bytes that were written before are sent.
    ///
    /// # Errors
    /// Returns the host's error.
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

    /// Reads up to `max` bytes. An empty vector means the end of the stream, as with [`read`](Read::read),
    /// unless `max` is 0.
    ///
    /// The host writes the bytes directly into the returned vector: unlike with `read`, no buffer has to be
    /// allocated before bytes have arrived, and the bytes are not copied again. With a large `max`, such as
    /// 512 KiB, this is the fastest way to read many bytes; the vector takes only as much memory as
    /// the bytes that were read.
    ///
    /// # Errors
    /// The same as `read`: [`ErrorKind::WouldBlock`] if the connection is
    /// [non-blocking](Self::set_nonblocking) and no bytes are available, and an error of the kind
    /// [`ErrorKind::Other`] with the host's text if the stream has failed, for example because the peer has
    /// reset the connection.
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
                // A host may return early without bytes.
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

    /// Returns the socket, for functions of wasi-sockets that this crate does not wrap.
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

    /// Returns pollables of the input and the output, as far as `direction` includes them. They are to be
    /// dropped before the streams.
    pub(crate) fn subscribe(&self, direction: Direction) -> (Option<Pollable>, Option<Pollable>) {
        let streams = self.streams();
        let input = (direction != Direction::Write).then(|| streams.input.subscribe());
        let output = (direction != Direction::Read).then(|| streams.output.subscribe());
        (input, output)
    }

    fn streams(&self) -> &Streams {
        self.streams.as_ref().expect("only its end takes them")
    }

    /// Takes the resources out of the connection. The caller closes them.
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

/// The same as for `&Connection`.
impl Read for Connection {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        (&*self).read(buffer)
    }
}

/// The same as for `&Connection`.
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
        match &self.closer {
            Closer::Drop => drop(streams),
            Closer::Base(base) => match base.upgrade() {
                Some(core) => base::close(&core, streams, Buffer::new()),
                None => remains::close_now(vec![Remains::new(streams, Buffer::new())]),
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
