//! Connections that are being closed.
//!
//! A host may wait when an output stream is dropped that the kernel has not taken all of, and the
//! whole instance with it. So a connection that was closed stays here until what is left of its
//! output is sent, and its pollable is ready. Only then are its streams and its socket dropped.
//!
//! A peer that is still sending, as one whose upload is refused, would be reset if its connection was
//! closed. So what it sends is read and dropped until it ends, too, for as long as a peer may linger.
//!
//! A peer that takes nothing for too long is given up: the rest is dropped, and the socket shut down.
//! On a host that sends in the background the pollable is ready from then on, and so all goes. On
//! wasmtime-wasi's sockets it is not before the kernel has taken the last write, and no call of
//! wasi-sockets makes that come sooner. To drop the stream then would stall everyone, and to forget it
//! would leave its descriptor to nobody's count. So it stays here, and counts: how many there may be
//! is the bound that holds everywhere.

use crate::base::source::{Interest, Source};
use crate::base::{Core, EventBase, Patience, nanoseconds};
use crate::buffer::Buffer;
use crate::permit::Permit;
use crate::slab::Key;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;
use wasi::clocks::monotonic_clock;
use wasi::io::poll;
use wasi::io::streams::{InputStream, OutputStream, StreamError};
use wasi::sockets::tcp::{ShutdownType, TcpSocket};

/// What a peer has sent and nobody has read makes the kernel reset the connection when it is
/// closed, and the peer may then lose what it was sent. So it is read, so much at a time. Who has sent
/// more is likely to be sending still, and perhaps to read only after that: see [`Unread::Much`].
const DISCARDED: u64 = 64 << 10;

/// For how long a peer may take nothing, in nanoseconds. The default.
const LINGER: u64 = 10_000_000_000;

/// How long a base that is dropped waits for what is left, in nanoseconds: for peers that read, it is
/// enough.
const LAST_CHANCE: u64 = 20_000_000;

/// A connection's resources. They are dropped in this order: the streams are the socket's children,
/// and a listener that has reached its limit goes on when all of them are gone.
pub struct Streams {
    pub input: InputStream,
    pub output: OutputStream,
    pub socket: TcpSocket,
    pub permit: Option<Permit>,
}

/// How many are being closed, and how many may be.
pub struct Reaper {
    count: Cell<usize>,
    max: Cell<usize>,
    /// In nanoseconds.
    linger: Cell<Option<u64>>,
    /// Listeners that wait for room.
    waiting: RefCell<Vec<Weak<dyn Source>>>,
}

impl Default for Reaper {
    fn default() -> Self {
        Self {
            count: Cell::new(0),
            max: Cell::new(1024),
            linger: Cell::new(Some(LINGER)),
            waiting: RefCell::default(),
        }
    }
}

impl Reaper {
    pub fn len(&self) -> usize {
        self.count.get()
    }

    pub fn is_full(&self) -> bool {
        self.count.get() >= self.max.get()
    }

    pub fn set_max(&self, base: &EventBase, max: usize) {
        self.max.set(max);
        self.admit(&base.0);
    }

    pub fn set_linger(&self, time: Option<Duration>) {
        self.linger.set(time.map(nanoseconds));
    }

    /// Have `listener` look again once there is room.
    pub fn wait_for_room(&self, listener: Weak<dyn Source>) {
        self.waiting.borrow_mut().push(listener);
    }

    fn admit(&self, core: &Core) {
        if !self.is_full() {
            for listener in self.waiting.take() {
                core.changed(listener);
            }
        }
    }
}

/// Send `rest`, and close as soon as that takes no waiting.
pub fn close(core: &Rc<Core>, streams: Streams, rest: Buffer) {
    let mut remains = Remains::new(streams, rest);
    if !remains.is_done() {
        Closing::start(core, remains);
    }
}

/// Close without the help of a loop, and without waiting for long. What cannot be dropped then is
/// left to the host, which closes it with the instance.
pub fn close_now(mut remains: Vec<Remains>) {
    let end = monotonic_clock::now().saturating_add(LAST_CHANCE);
    loop {
        let sent = remains.extract_if(.., Remains::is_sent);
        sent.for_each(|mut remains| remains.discard());
        if remains.is_empty() {
            return;
        }
        if monotonic_clock::now() >= end {
            return remains.into_iter().for_each(Remains::leave);
        }
        let outputs = remains.iter().map(|one| one.streams.output.subscribe());
        let mut pollables: Vec<_> = outputs.collect();
        pollables.push(monotonic_clock::subscribe_instant(end));
        poll::poll(&pollables.iter().collect::<Vec<_>>());
    }
}

/// What is left of a connection: its resources, and what is to be sent before they go.
pub struct Remains {
    streams: Streams,
    rest: Buffer,
    is_flushed: bool,
    /// All is sent, and the peer was told.
    is_finished: bool,
    unread: Unread,
}

/// What there may be of a peer's that nobody reads any more.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Unread {
    /// What the kernel had was dropped, and it was little.
    Little,
    /// It was more than that, and the peer has not ended yet.
    Much,
    /// Nothing: the peer has ended, or it does not matter any more.
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

    /// Do what can be done now. True if nothing is left: it can be dropped.
    fn is_done(&mut self) -> bool {
        let is_sent = self.is_finished || self.is_sent();
        self.discard();
        if is_sent && self.unread == Unread::Much {
            self.finish();
            return false;
        }
        is_sent
    }

    /// Drop some of what the peer has sent.
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

    /// Say that there is no more.
    fn finish(&mut self) {
        if !self.is_finished {
            self.is_finished = true;
            // That it has failed already makes no difference.
            let _ = self.streams.socket.shutdown(ShutdownType::Send);
        }
    }

    /// Send what can be sent now. True if nothing is left, or nobody is there to take it.
    fn is_sent(&mut self) -> bool {
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

    /// Send no more than what the host was given, and read nothing.
    fn give_up(&mut self) {
        self.rest = Buffer::new();
        self.is_flushed = true;
        self.unread = Unread::Nothing;
        // That it has failed already makes no difference.
        let _ = self.streams.socket.shutdown(ShutdownType::Send);
    }

    /// It differs once the peer has taken something, or all of it.
    fn progress(&self) -> (usize, bool, bool) {
        (self.rest.len(), self.is_flushed, self.is_finished)
    }

    /// Never drop it.
    fn leave(self) {
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

/// One that has to wait.
struct Closing {
    remains: RefCell<Option<Remains>>,
    input: Cell<Option<Key>>,
    output: Cell<Option<Key>>,
    kept: Cell<Option<Key>>,
    /// For how long its peer may take nothing.
    patience: Patience,
}

impl Closing {
    fn start(core: &Rc<Core>, remains: Remains) {
        let closing = Rc::new(Self {
            remains: RefCell::new(Some(remains)),
            input: Cell::new(None),
            output: Cell::new(None),
            kept: Cell::new(None),
            patience: Patience::default(),
        });
        let linger = core.reaper.linger.get();
        closing.patience.set_timeout(core, linger);
        closing.wait(core);
        core.reaper.count.set(core.reaper.count.get() + 1);
        closing.kept.set(Some(core.keep(closing.clone())));
    }

    fn source(self: &Rc<Self>) -> Weak<dyn Source> {
        let this: Weak<Self> = Rc::downgrade(self);
        this
    }

    /// Wait for the peer to take what is left, and to end; and have the timer run, if there is to be one.
    fn wait(self: &Rc<Self>, core: &Core) {
        let (reads, writes) = match &*self.remains.borrow() {
            Some(remains) => (remains.unread != Unread::Nothing, !remains.is_finished),
            None => return,
        };
        self.wait_for(core, reads, &self.input, Interest::Input);
        self.wait_for(core, writes, &self.output, Interest::Output);
        self.patience
            .set_active(true, core, &self.source(), Interest::OutputTimeout);
    }

    fn wait_for(
        self: &Rc<Self>,
        core: &Core,
        wanted: bool,
        key: &Cell<Option<Key>>,
        what: Interest,
    ) {
        match (wanted, key.get()) {
            (true, None) => {
                let remains = self.remains.borrow();
                let pollable = remains.as_ref().map(|remains| match what {
                    Interest::Input => remains.streams.input.subscribe(),
                    _ => remains.streams.output.subscribe(),
                });
                let wait = pollable.map(|pollable| core.wait(pollable, self.source(), what));
                key.set(wait);
            }
            (false, Some(_)) => unwait(core, key),
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// The timer is due. The peer may have taken something meanwhile.
    fn time_out(self: &Rc<Self>, core: &Core) {
        let is_over = self.patience.has_timed_out(core);
        let is_finished = match &mut *self.remains.borrow_mut() {
            Some(remains) if is_over => {
                remains.give_up();
                remains.is_finished
            }
            _ => false,
        };
        match is_finished {
            true => self.end(core),
            // It goes when the host has let go of what it was given.
            false if is_over => unwait(core, &self.input),
            false => self.wait(core),
        }
    }

    /// Something was ready.
    fn go_on(self: &Rc<Self>, core: &Core, interest: Interest) {
        let (before, after, is_done) = match &mut *self.remains.borrow_mut() {
            None => return,
            Some(remains) => {
                let before = remains.progress();
                let is_done = remains.is_done();
                (before, remains.progress(), is_done)
            }
        };
        if is_done {
            return self.end(core);
        }
        if before != after {
            self.patience.touch(core);
        } else if interest == Interest::Output
            && let Some(wait) = self.output.get()
        {
            core.starved(wait);
        }
        self.wait(core);
    }

    fn unwait(&self, core: &Core) {
        unwait(core, &self.input);
        unwait(core, &self.output);
    }

    fn end(&self, core: &Core) {
        self.patience.stop(core);
        self.unwait(core);
        let remains = self.remains.take();
        if let Some(remains) = remains {
            drop(remains);
            core.reaper.count.set(core.reaper.count.get() - 1);
            core.reaper.admit(core);
        }
        if let Some(kept) = self.kept.take() {
            core.release(kept);
        }
    }
}

/// The pollable is dropped: it is a child of a stream.
fn unwait(core: &Core, key: &Cell<Option<Key>>) {
    if let Some(wait) = key.take() {
        core.unwait(wait);
    }
}

impl Source for Closing {
    fn ready(self: Rc<Self>, base: &EventBase, interest: Interest) {
        match interest {
            Interest::InputTimeout | Interest::OutputTimeout => self.time_out(&base.0),
            Interest::Input | Interest::Output => self.go_on(&base.0, interest),
        }
    }

    /// Nothing about it changes but by what it waits for.
    fn settle(self: Rc<Self>, _: &EventBase) {}

    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains> {
        self.patience.stop(core);
        self.unwait(core);
        self.remains.take()
    }
}
