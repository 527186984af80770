//! The handle of a buffered connection.

use super::event::Event;
use super::shared::{BufferedShared, Finish, OnBytes, Phase};
use crate::base::{EventBase, nanoseconds};
use crate::buffer::Buffer;
use crate::connection::Attempt;
use crate::{Connection, Direction};
use std::cell::RefCell;
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::Rc;
use std::time::Duration;
use wasi::sockets::tcp::TcpSocket;

/// A connection with an input and an output buffer: libevent's `bufferevent`.
///
/// The loop reads into the input and writes from the output, and calls the callbacks. `BufferedConnection` is a
/// cheap handle; its clones refer to one connection. **The event base owns the connection** until it is
/// [closed](Self::close) or [aborted](Self::abort), so that the program need not keep a handle.
///
/// As with libevent, writing is enabled at first and reading is not. A connection without an event callback
/// is closed at [`Event::End`], [`Event::Error`] and [`Event::TimedOut`].
///
/// # Cost
/// About 400 bytes, and one allocation for each closure. Reading and answering a message makes four host calls:
/// poll, read, check-write and write. An idle connection makes none.
///
/// ```no_run
/// use evconn_guest::{BufferedConnection, Direction, EventBase, Listener};
///
/// let base = EventBase::new();
/// let listener = Listener::builder()
///     .on_connection(|listener, connection| {
///         let connection = BufferedConnection::new(listener.base(), connection);
///         connection.on_read(|connection: &BufferedConnection| {
///             connection.send(connection.take_input());
///         });
///         connection.enable(Direction::Read);
///     })
///     .bind(&base, ([127, 0, 0, 1], 9876))?;
/// base.dispatch();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct BufferedConnection(Rc<BufferedShared>);

/// Returns a callback of the shared state that calls `function` with a handle.
fn on_bytes(mut function: impl FnMut(&BufferedConnection) + 'static) -> Rc<RefCell<OnBytes>> {
    Rc::new(RefCell::new(move |shared: &Rc<BufferedShared>| {
        function(&BufferedConnection(Rc::clone(shared)));
    }))
}

impl BufferedConnection {
    /// Makes a buffered connection of a connection: `bufferevent_socket_new`.
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, Connection, EventBase};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let connection = BufferedConnection::new(&base, connection);
    /// # }
    /// ```
    pub fn new(base: &EventBase, connection: Connection) -> Self {
        let peer = connection.peer_addr();
        let phase = Phase::Open(connection.into_streams());
        Self(BufferedShared::new(&base.0, peer, phase))
    }

    /// Connects to a peer, without waiting: `bufferevent_socket_connect`. [`Event::Connected`] or
    /// [`Event::Error`] reports the outcome. Output that is added before then is sent once the connection
    /// is established. The write timeout applies to connecting, too.
    ///
    /// # Errors
    /// Returns an error if connecting fails at once: the address cannot be connected to, or is not granted.
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, EventBase};
    /// # let base = EventBase::new();
    /// let connection = BufferedConnection::connect(&base, ([127, 0, 0, 1], 9876))?;
    /// connection.send("hello\n");
    /// # Ok::<(), std::io::Error>(())
    /// ```
    pub fn connect(base: &EventBase, address: impl Into<SocketAddr>) -> io::Result<Self> {
        let peer = address.into();
        let shared = BufferedShared::new(&base.0, peer, Phase::Over);
        let weak = Rc::downgrade(&shared);
        let done = move |base: &EventBase, streams| {
            if let Some(shared) = weak.upgrade() {
                shared.connected(&base.0, streams);
            }
        };
        match Attempt::start(base, peer, Box::new(done)) {
            Ok(attempt) => {
                shared.phase.replace(Phase::Connecting(attempt));
                shared.schedule();
                Ok(Self(shared))
            }
            Err(error) => {
                Self(shared).abort();
                Err(error)
            }
        }
    }

    /// Sets the read callback. It is called when bytes were read and the input has reached the low watermark
    /// of reading. It is called again when more bytes are read, whether or not it has taken the input.
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # fn f(connection: BufferedConnection) {
    /// connection.on_read(|connection: &BufferedConnection| {
    ///     while let Some(line) = connection.take_line() {
    ///         connection.send(line);
    ///     }
    /// });
    /// # }
    /// ```
    pub fn on_read(&self, callback: impl FnMut(&Self) + 'static) {
        if !self.is_closed() {
            self.0.on_read.set(Some(on_bytes(callback)));
        }
    }

    /// Sets the write callback. It is called when output was written and no more than the low watermark of
    /// writing is left: by default, when all of it was written.
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # fn f(connection: BufferedConnection) {
    /// connection.on_write(|connection: &BufferedConnection| connection.close());
    /// connection.send("goodbye\n");
    /// # }
    /// ```
    pub fn on_write(&self, callback: impl FnMut(&Self) + 'static) {
        if !self.is_closed() {
            self.0.on_write.set(Some(on_bytes(callback)));
        }
    }

    /// Sets the event callback: see [`Event`].
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, Event};
    /// # fn f(connection: BufferedConnection) {
    /// connection.on_event(|connection: &BufferedConnection, event: Event| {
    ///     println!("{}: {event:?}", connection.peer_addr());
    ///     connection.close();
    /// });
    /// # }
    /// ```
    pub fn on_event(&self, mut callback: impl FnMut(&Self, Event) + 'static) {
        if !self.is_closed() {
            let callback = move |shared: &Rc<BufferedShared>, event| {
                callback(&Self(Rc::clone(shared)), event);
            };
            self.0.on_event.set(Some(Rc::new(RefCell::new(callback))));
        }
    }

    /// Enables reading, writing or both: `bufferevent_enable`.
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, Direction};
    /// # fn f(connection: BufferedConnection) {
    /// connection.enable(Direction::Read);
    /// # }
    /// ```
    pub fn enable(&self, direction: Direction) {
        self.set_enabled(direction, true);
    }

    /// Disables reading, writing or both until [`enable`](Self::enable): `bufferevent_disable`. A peer that goes
    /// on sending is blocked once the kernel's buffers are full.
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, Direction};
    /// # fn f(connection: BufferedConnection) {
    /// connection.disable(Direction::Read);
    /// # }
    /// ```
    pub fn disable(&self, direction: Direction) {
        self.set_enabled(direction, false);
    }

    /// Sets the watermarks, in bytes: `bufferevent_setwatermark`.
    ///
    /// | direction | low | high |
    /// | --- | --- | --- |
    /// | `Read` | the read callback is called when the input is at least this long. Default: 0 | reading pauses while the input is at least this long. Default: 0, which means no limit |
    /// | `Write` | the write callback is called when no more than this is left of the output. Default: 0 | *reading* pauses while the output is longer than this. Default: 256 KiB. 0 means no limit |
    ///
    /// The high watermark of writing is back-pressure: no more is read from a peer that sends requests and does
    /// not read the answers. The answers to the last read, which is up to 512 KiB, may exceed it.
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, Direction};
    /// # fn f(connection: BufferedConnection) {
    /// connection.set_watermarks(Direction::Read, 4, 64 << 10);
    /// # }
    /// ```
    pub fn set_watermarks(&self, direction: Direction, low: usize, high: usize) {
        for half in self.0.halves(direction) {
            half.low.set(low);
            half.high.set(high);
        }
        self.0.schedule();
    }

    /// Sets the timeouts of reading and writing: `bufferevent_set_timeouts`. None: no limit, the default.
    ///
    /// The read timeout counts while reading is enabled and no bytes arrive; the write timeout while there is
    /// output and the host accepts none of it. When one has passed, [`Event::TimedOut`] is reported.
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # use std::time::Duration;
    /// # fn f(connection: BufferedConnection) {
    /// connection.set_timeouts(Some(Duration::from_secs(60)), Some(Duration::from_secs(10)));
    /// # }
    /// ```
    pub fn set_timeouts(&self, read: Option<Duration>, write: Option<Duration>) {
        if let Some(core) = self.0.core.upgrade() {
            let (reading, writing) = (&self.0.reading.timeout, &self.0.writing.timeout);
            reading.set_timeout(&core, read.map(nanoseconds));
            writing.set_timeout(&core, write.map(nanoseconds));
            self.0.schedule();
        }
    }

    /// Takes the whole input.
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # fn f(connection: BufferedConnection) {
    /// let request = connection.take_input().into_vec();
    /// # }
    /// ```
    pub fn take_input(&self) -> Buffer {
        let input = self.0.input.take();
        self.input_was_taken();
        input
    }

    /// Takes the first line of the input, including its `\n`. Returns None if there is no complete line.
    ///
    /// There is no limit on the length of a line. A program that needs one checks
    /// [`input_len`](Self::input_len).
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # fn f(connection: BufferedConnection) {
    /// match connection.take_line() {
    ///     Some(line) => connection.send(line),
    ///     None if connection.input_len() > 1024 => connection.close(),
    ///     None => {}
    /// }
    /// # }
    /// ```
    pub fn take_line(&self) -> Option<Vec<u8>> {
        let line = self.0.input.borrow_mut().take_line();
        self.input_was_taken();
        line
    }

    /// Calls `function` with the input, to inspect it or to take a part of it: `bufferevent_get_input`.
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # fn f(connection: BufferedConnection) {
    /// let header = connection.with_input(|input| (input.len() >= 4).then(|| input.take_bytes(4)));
    /// # }
    /// ```
    pub fn with_input<T>(&self, function: impl FnOnce(&mut Buffer) -> T) -> T {
        // Nothing is borrowed while the function runs: it may call this connection, too.
        let mut input = self.0.input.take();
        let value = function(&mut input);
        let mut meanwhile = self.0.input.replace(input);
        self.0.input.borrow_mut().append(&mut meanwhile);
        self.input_was_taken();
        value
    }

    /// Returns the length of the input, in bytes.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// assert!(connection.input_len() < 1024);
    /// # }
    /// ```
    pub fn input_len(&self) -> usize {
        self.0.input.borrow().len()
    }

    /// Appends bytes to the output: `bufferevent_write`, and with a [`Buffer`] `bufferevent_write_buffer`. The
    /// loop writes them before it waits. Has no effect on a connection that is closed or
    /// [finished](Self::finish).
    ///
    /// The length of the output is not limited: see [`output_len`](Self::output_len), and the high watermark
    /// of writing.
    ///
    /// # Cost
    /// A `Vec<u8>`, `String` or [`Buffer`] is moved; `&str` and `&[u8]` are copied. [`Write`] copies without
    /// an allocation for each call.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.send("one\n");
    /// connection.send(format!("{}\n", 2));
    /// connection.send(connection.take_input());
    /// # }
    /// ```
    pub fn send(&self, bytes: impl Into<Buffer>) {
        if self.0.takes_output() {
            self.0.output.borrow_mut().append(&mut bytes.into());
            self.0.schedule();
        }
    }

    /// Returns the length of the output, in bytes.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// if connection.output_len() > 1 << 20 {
    ///     connection.abort();
    /// }
    /// # }
    /// ```
    pub fn output_len(&self) -> usize {
        self.0.output.borrow().len()
    }

    /// Ends the sending direction once the output is written. Reading is still possible.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.send("that was all\n");
    /// connection.finish();
    /// # }
    /// ```
    pub fn finish(&self) {
        if self.0.finish.get() == Finish::No {
            self.0.finish.set(Finish::WhenSent);
            self.0.schedule();
        }
    }

    /// Returns whether the peer has ended its sending direction, or the connection has failed.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// if connection.has_ended() {
    ///     connection.close();
    /// }
    /// # }
    /// ```
    pub fn has_ended(&self) -> bool {
        self.0.has_ended.get()
    }

    /// Closes the connection after its output is sent: `bufferevent_free`, which discards the output. No
    /// callback is called any more. Idempotent.
    ///
    /// It returns at once; the event base sends the output (see [`EventBase::set_max_closing`]). If the peer
    /// is still sending, its bytes are read and discarded until it ends: otherwise the kernel would reset the
    /// connection, and the peer might lose what it was sent. [`EventBase::set_linger`] limits both. The output
    /// of a connection that is not established yet is discarded.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.send("goodbye\n");
    /// connection.close();
    /// # }
    /// ```
    pub fn close(&self) {
        self.0.end(true);
    }

    /// Closes the connection and discards its output. Bytes that the host has taken already are sent.
    /// Idempotent.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.abort();
    /// # }
    /// ```
    pub fn abort(&self) {
        self.0.end(false);
    }

    /// Returns whether the connection was closed or aborted.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.close();
    /// assert!(connection.is_closed());
    /// # }
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.is_closed()
    }

    /// Returns the peer's address.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// println!("{}", connection.peer_addr());
    /// # }
    /// ```
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.peer
    }

    /// Returns the event base: `bufferevent_get_base`. None if it was dropped, which has closed the connection.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// if let Some(base) = connection.base() {
    ///     base.loop_break();
    /// }
    /// # }
    /// ```
    pub fn base(&self) -> Option<EventBase> {
        self.0.core.upgrade().map(EventBase)
    }

    /// Calls `function` with the socket, for its options. Returns None if the connection is not established, or
    /// is closed.
    ///
    /// # Panics
    /// Panics if `function` closes the connection.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.with_socket(|socket| socket.set_keep_alive_enabled(true));
    /// # }
    /// ```
    pub fn with_socket<T>(&self, function: impl FnOnce(&TcpSocket) -> T) -> Option<T> {
        match &*self.0.phase.borrow() {
            Phase::Open(streams) => Some(function(&streams.socket)),
            Phase::Connecting(_) | Phase::Over => None,
        }
    }

    fn set_enabled(&self, direction: Direction, enabled: bool) {
        for half in self.0.halves(direction) {
            half.enabled.set(enabled);
        }
        self.0.schedule();
    }

    /// Resumes reading that the high watermark has paused.
    fn input_was_taken(&self) {
        if self.0.reading.high.get() > 0 {
            self.0.schedule();
        }
    }
}

/// Copies into the output, and never waits. Fails if the connection is closed or finished.
impl Write for &BufferedConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.0.takes_output() {
            return Err(ErrorKind::NotConnected.into());
        }
        self.0.output.borrow_mut().extend(bytes);
        self.0.schedule();
        Ok(bytes.len())
    }

    /// Has no effect: the loop writes the output.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The same as for `&BufferedConnection`.
impl Write for BufferedConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two handles are equal if they refer to the same connection.
impl PartialEq for BufferedConnection {
    fn eq(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for BufferedConnection {}

impl std::fmt::Debug for BufferedConnection {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("BufferedConnection")
            .field("peer", &self.0.peer)
            .field("input", &self.input_len())
            .field("output", &self.output_len())
            .field("is_closed", &self.is_closed())
            .finish()
    }
}
