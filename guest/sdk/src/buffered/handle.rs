use super::Event;
use super::half::Side;
use crate::base::closing::{self, Streams};
use crate::base::source::Source;
use crate::base::{Core, EventBase, nanoseconds};
use crate::buffer::Buffer;
use crate::callback::Callback;
use crate::connection::Attempt;
use crate::slab::Key;
use crate::{Connection, Direction};
use std::cell::{Cell, RefCell};
use std::io::{self, ErrorKind, Write};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use std::time::Duration;

/// With more output than this, reading pauses. The default.
const MAX_OUTPUT: usize = 256 << 10;

/// A connection with an input and an output buffer: libevent's `bufferevent`.
///
/// The loop reads into the one and writes from the other, and calls the callbacks. It is a cheap
/// handle; its clones are one connection. **The event base owns it** until it is
/// [closed](Self::close) or [aborted](Self::abort), so that a handle need not be kept.
///
/// As with libevent, writing is enabled at first and reading is not. Without an event callback
/// it is closed at [`Event::End`], [`Event::Error`] and [`Event::TimedOut`].
///
/// # Cost
/// About 400 bytes, and one allocation for each closure. A message that is read and answered takes
/// four calls of the host: poll, read, check-write and write. While nothing happens it takes none.
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
pub struct BufferedConnection(pub(super) Rc<Inner>);

pub type OnBytes = dyn FnMut(&BufferedConnection);
pub type OnEvent = dyn FnMut(&BufferedConnection, Event);

/// What the handles share.
pub struct Inner {
    pub(super) this: Weak<Inner>,
    pub(super) core: Weak<Core>,
    pub(super) peer: SocketAddr,
    pub(super) state: RefCell<State>,
    /// Among what the base owns. None once it is closed.
    pub(super) kept: Cell<Option<Key>>,
    pub(super) is_changed: Cell<bool>,
    pub(super) input: RefCell<Buffer>,
    pub(super) output: RefCell<Buffer>,
    pub(super) reads: Side,
    pub(super) writes: Side,
    /// The peer has ended its side, or reading has failed.
    pub(super) has_ended: Cell<bool>,
    /// This side is to end, or has.
    pub(super) finish: Cell<Finish>,
    /// The host takes no more at the moment.
    pub(super) is_blocked: Cell<bool>,
    /// The output's pollable was ready, and nothing was written since.
    pub(super) was_ready: Cell<bool>,
    pub(super) on_read: Callback<OnBytes>,
    pub(super) on_write: Callback<OnBytes>,
    pub(super) on_event: Callback<OnEvent>,
}

pub enum State {
    Connecting(Rc<Attempt>),
    Open(Streams),
    /// It has no streams any more, or never had.
    Over,
}

#[derive(Clone, Copy, PartialEq)]
pub enum Finish {
    No,
    WhenSent,
    Done,
}

impl BufferedConnection {
    /// Give a connection buffers: `bufferevent_socket_new`.
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, Connection, EventBase};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let connection = BufferedConnection::new(&base, connection);
    /// # }
    /// ```
    pub fn new(base: &EventBase, connection: Connection) -> Self {
        let peer = connection.peer_addr();
        let state = State::Open(connection.into_streams());
        Self(Inner::kept(base, peer, state))
    }

    /// Connect to a peer, without waiting: `bufferevent_socket_connect`. [`Event::Connected`] or
    /// [`Event::Error`] tells what came of it. What is sent before that is sent then. The write
    /// timeout holds for connecting, too.
    ///
    /// # Errors
    /// If it fails at once: the address cannot be connected to, or is not granted.
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
        let inner = Inner::kept(base, peer, State::Over);
        let weak = Rc::downgrade(&inner);
        let done = move |base: &EventBase, streams| {
            if let Some(inner) = weak.upgrade() {
                inner.connected(base, streams);
            }
        };
        match Attempt::start(base, peer, Box::new(done)) {
            Ok(attempt) => {
                inner.state.replace(State::Connecting(attempt));
                inner.changed();
                Ok(Self(inner))
            }
            Err(error) => {
                Self(inner).abort();
                Err(error)
            }
        }
    }

    /// Call this function when there is input: as much as the low watermark of reading, if there is
    /// one. It is called again when more comes, whether or not it has taken what there was.
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
            self.0.on_read.set(Some(Rc::new(RefCell::new(callback))));
        }
    }

    /// Call this function when the output has been written, down to the low watermark of
    /// writing: all of it, by default.
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
            self.0.on_write.set(Some(Rc::new(RefCell::new(callback))));
        }
    }

    /// Call this function for what happens besides: see [`Event`].
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
    pub fn on_event(&self, callback: impl FnMut(&Self, Event) + 'static) {
        if !self.is_closed() {
            self.0.on_event.set(Some(Rc::new(RefCell::new(callback))));
        }
    }

    /// Read, or write, from now on: `bufferevent_enable`.
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

    /// Read, or write, no more until [`enable`](Self::enable): `bufferevent_disable`. Peers feel it
    /// once the kernel's buffers are full.
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

    /// Set watermarks, in bytes: `bufferevent_setwatermark`.
    ///
    /// | direction | low | high |
    /// | --- | --- | --- |
    /// | `Read` | the read callback is called when there is at least that much input. Default: 0 | with that much input, reading pauses until some is taken. Default: 0, which is none |
    /// | `Write` | the write callback is called when no more output than that is left. Default: 0 | with more output than that, *reading* pauses until less is left. Default: 256 KiB. 0 is none |
    ///
    /// The last one is back-pressure: a peer that sends requests, and does not read the answers, is
    /// read from no more. What the last read before that has brought, 512 KiB at most, goes beyond it.
    ///
    /// ```no_run
    /// # use evconn_guest::{BufferedConnection, Direction};
    /// # fn f(connection: BufferedConnection) {
    /// connection.set_watermarks(Direction::Read, 4, 64 << 10);
    /// # }
    /// ```
    pub fn set_watermarks(&self, direction: Direction, low: usize, high: usize) {
        for side in self.0.sides(direction) {
            side.low.set(low);
            side.high.set(high);
        }
        self.0.changed();
    }

    /// How long a direction may be quiet: `bufferevent_set_timeouts`. None: for ever, the default.
    ///
    /// Reading is quiet while it is enabled and nothing comes; writing while there is output and the
    /// host takes none. Then [`Event::TimedOut`] is reported.
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
            let (reads, writes) = (&self.0.reads.patience, &self.0.writes.patience);
            reads.set_timeout(&core, read.map(nanoseconds));
            writes.set_timeout(&core, write.map(nanoseconds));
            self.0.changed();
        }
    }

    /// Take all of the input.
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # fn f(connection: BufferedConnection) {
    /// let request = connection.take_input().into_vec();
    /// # }
    /// ```
    pub fn take_input(&self) -> Buffer {
        let input = self.0.input.take();
        self.0.input_was_used();
        input
    }

    /// Take the first line of the input, up to and with its `\n`. None if there is no end of a line.
    ///
    /// Where a line may not become as long as its sender pleases, look at
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
        self.0.input_was_used();
        line
    }

    /// Look at the input, and take what is complete: `bufferevent_get_input`.
    ///
    /// ```no_run
    /// # use evconn_guest::BufferedConnection;
    /// # fn f(connection: BufferedConnection) {
    /// let header = connection.with_input(|input| (input.len() >= 4).then(|| input.take_bytes(4)));
    /// # }
    /// ```
    pub fn with_input<T>(&self, function: impl FnOnce(&mut Buffer) -> T) -> T {
        // Nothing is borrowed while it runs: it may call this connection, too.
        let mut input = self.0.input.take();
        let value = function(&mut input);
        let mut meanwhile = self.0.input.replace(input);
        self.0.input.borrow_mut().append(&mut meanwhile);
        self.0.input_was_used();
        value
    }

    /// How many bytes of input are waiting to be taken.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// assert!(connection.input_len() < 1024);
    /// # }
    /// ```
    pub fn input_len(&self) -> usize {
        self.0.input.borrow().len()
    }

    /// Send: `bufferevent_write`, and with a [`Buffer`] `bufferevent_write_buffer`. It is put into
    /// the output, and the loop writes it before it waits. A connection that is closed, or has been
    /// [finished](Self::finish), sends no more.
    ///
    /// There is no limit: see [`output_len`](Self::output_len), and the high watermark of writing.
    ///
    /// # Cost
    /// A `Vec<u8>`, `String` or [`Buffer`] is moved; `&str` and `&[u8]` are copied. To copy without an
    /// allocation for each, use [`Write`].
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
            self.0.changed();
        }
    }

    /// How many bytes of output are waiting to be written.
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

    /// End the sending direction once the output is written. Reading goes on.
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
            self.0.changed();
        }
    }

    /// Whether nothing more comes from the peer: it has ended its side, or the connection has failed.
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

    /// Send what is in the output, and close: `bufferevent_free`, which does not send it. No callback
    /// is called any more. Idempotent.
    ///
    /// It returns at once; the event base sees to the rest (see
    /// [`EventBase::set_max_closing`]). From a peer that has much to send still, input is taken and
    /// dropped until it ends: the kernel would reset the connection otherwise, and the peer lose what it
    /// was sent. [`EventBase::set_linger`] says for how long. What is in the output of one that has not
    /// connected yet is lost.
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

    /// Close without sending what is in the output. What the host was given already is sent.
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

    /// Whether it was closed or aborted.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.close();
    /// assert!(connection.is_closed());
    /// # }
    /// ```
    pub fn is_closed(&self) -> bool {
        self.0.kept.get().is_none()
    }

    /// The peer's address.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// println!("{}", connection.peer_addr());
    /// # }
    /// ```
    pub fn peer_addr(&self) -> SocketAddr {
        self.0.peer
    }

    /// Its event base: `bufferevent_get_base`. None if that is gone, and the connection closed.
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

    /// Call `function` with the socket, for its options. None if it is not connected, or closed.
    ///
    /// # Panics
    /// If `function` closes the connection, whose socket it has.
    ///
    /// ```no_run
    /// # fn f(connection: evconn_guest::BufferedConnection) {
    /// connection.with_socket(|socket| socket.set_keep_alive_enabled(true));
    /// # }
    /// ```
    pub fn with_socket<T>(
        &self,
        function: impl FnOnce(&wasi::sockets::tcp::TcpSocket) -> T,
    ) -> Option<T> {
        match &*self.0.state.borrow() {
            State::Open(streams) => Some(function(&streams.socket)),
            State::Connecting(_) | State::Over => None,
        }
    }

    fn set_enabled(&self, direction: Direction, enabled: bool) {
        for side in self.0.sides(direction) {
            side.enabled.set(enabled);
        }
        self.0.changed();
    }
}

/// It copies into the output, and never waits. It fails if the connection sends no more.
impl Write for &BufferedConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if !self.0.takes_output() {
            return Err(ErrorKind::NotConnected.into());
        }
        self.0.output.borrow_mut().extend(bytes);
        self.0.changed();
        Ok(bytes.len())
    }

    /// The loop does that.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// As for `&BufferedConnection`.
impl Write for BufferedConnection {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        (&*self).write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Two handles are equal if they are one connection.
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

impl Inner {
    /// The base keeps it from here on.
    pub(super) fn kept(base: &EventBase, peer: SocketAddr, state: State) -> Rc<Self> {
        let inner = Rc::new_cyclic(|this| Self {
            this: this.clone(),
            core: Rc::downgrade(&base.0),
            peer,
            state: RefCell::new(state),
            kept: Cell::new(None),
            is_changed: Cell::new(false),
            input: RefCell::default(),
            output: RefCell::default(),
            reads: Side::default(),
            writes: Side::default(),
            has_ended: Cell::new(false),
            finish: Cell::new(Finish::No),
            is_blocked: Cell::new(false),
            was_ready: Cell::new(false),
            on_read: Callback::default(),
            on_write: Callback::default(),
            on_event: Callback::default(),
        });
        inner.writes.enabled.set(true);
        inner.writes.high.set(MAX_OUTPUT);
        inner.kept.set(Some(base.0.keep(inner.clone())));
        inner
    }

    pub(super) fn source(&self) -> Weak<dyn Source> {
        self.this.clone()
    }

    pub(super) fn sides(&self, direction: Direction) -> impl Iterator<Item = &Side> {
        let (reads, writes) = match direction {
            Direction::Read => (true, false),
            Direction::Write => (false, true),
            Direction::Both => (true, true),
        };
        let reads = reads.then_some(&self.reads);
        reads.into_iter().chain(writes.then_some(&self.writes))
    }

    pub(super) fn takes_output(&self) -> bool {
        self.kept.get().is_some() && self.finish.get() == Finish::No
    }

    /// Look at what to do and what to wait for before the loop waits.
    pub(super) fn changed(&self) {
        if self.kept.get().is_none() || self.is_changed.replace(true) {
            return;
        }
        if let Some(core) = self.core.upgrade() {
            core.changed(self.source());
        }
    }

    pub(super) fn input_was_used(&self) {
        if self.reads.high.get() > 0 {
            self.changed();
        }
    }

    /// Close. The rest of the output is sent, or not.
    pub(super) fn end(&self, send: bool) {
        let (Some(kept), Some(core)) = (self.kept.take(), self.core.upgrade()) else {
            return;
        };
        self.stop(&core);
        let output = self.output.take();
        let rest = if send { output } else { Buffer::new() };
        match self.state.replace(State::Over) {
            State::Connecting(attempt) => attempt.cancel(&core),
            State::Open(streams) => closing::close(&core, streams, rest),
            State::Over => {}
        }
        self.drop_callbacks();
        core.release(kept);
    }

    /// Wait for nothing. The pollables go, which are children of the streams.
    pub(super) fn stop(&self, core: &Core) {
        self.reads.stop(core);
        self.writes.stop(core);
    }

    pub(super) fn drop_callbacks(&self) {
        self.on_read.set(None);
        self.on_write.set(None);
        self.on_event.set(None);
    }
}
