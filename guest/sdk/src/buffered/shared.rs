//! The state of a buffered connection.

use super::event::Event;
use super::half::Half;
use crate::Direction;
use crate::base::{self, Core, Source};
use crate::buffer::Buffer;
use crate::callback::Callback;
use crate::connection::Attempt;
use crate::remains::{Remains, Streams};
use crate::slab::Key;
use std::cell::{Cell, RefCell};
use std::net::SocketAddr;
use std::rc::{Rc, Weak};

/// The default high watermark of writing, beyond which reading pauses, in bytes.
const MAX_OUTPUT: usize = 256 << 10;

pub type OnBytes = dyn FnMut(&Rc<BufferedShared>);
pub type OnEvent = dyn FnMut(&Rc<BufferedShared>, Event);

/// The state that the handles of a buffered connection share.
pub struct BufferedShared {
    pub this: Weak<Self>,
    pub core: Weak<Core>,
    pub peer: SocketAddr,
    pub phase: RefCell<Phase>,
    /// Its key in the event base that owns it. None once it is closed.
    owned: Cell<Option<Key>>,
    pub is_scheduled: Cell<bool>,
    pub input: RefCell<Buffer>,
    pub output: RefCell<Buffer>,
    pub reading: Half,
    pub writing: Half,
    /// The peer has ended its sending direction, or reading has failed.
    pub has_ended: Cell<bool>,
    pub finish: Cell<Finish>,
    /// The host accepts no more bytes at the moment.
    pub is_blocked: Cell<bool>,
    /// The output's pollable was ready, and nothing was written since.
    pub was_ready: Cell<bool>,
    pub on_read: Callback<OnBytes>,
    pub on_write: Callback<OnBytes>,
    pub on_event: Callback<OnEvent>,
}

/// Where a connection is in its life.
pub enum Phase {
    Connecting(Rc<Attempt>),
    Open(Streams),
    /// It has no streams: it was closed, connecting has failed, or connecting has not begun.
    Over,
}

/// Whether the sending direction is to end.
#[derive(Clone, Copy, PartialEq)]
pub enum Finish {
    No,
    WhenSent,
    Done,
}

impl BufferedShared {
    pub fn new(core: &Rc<Core>, peer: SocketAddr, phase: Phase) -> Rc<Self> {
        let shared = Rc::new_cyclic(|this| Self {
            this: this.clone(),
            core: Rc::downgrade(core),
            peer,
            phase: RefCell::new(phase),
            owned: Cell::new(None),
            is_scheduled: Cell::new(false),
            input: RefCell::default(),
            output: RefCell::default(),
            reading: Half::default(),
            writing: Half::default(),
            has_ended: Cell::new(false),
            finish: Cell::new(Finish::No),
            is_blocked: Cell::new(false),
            was_ready: Cell::new(false),
            on_read: Callback::default(),
            on_write: Callback::default(),
            on_event: Callback::default(),
        });
        shared.writing.enabled.set(true);
        shared.writing.high.set(MAX_OUTPUT);
        shared.owned.set(Some(core.own(shared.clone())));
        shared
    }

    pub fn source(&self) -> Weak<dyn Source> {
        self.this.clone()
    }

    pub fn halves(&self, direction: Direction) -> impl Iterator<Item = &Half> {
        let (reads, writes) = match direction {
            Direction::Read => (true, false),
            Direction::Write => (false, true),
            Direction::Both => (true, true),
        };
        let reading = reads.then_some(&self.reading);
        reading.into_iter().chain(writes.then_some(&self.writing))
    }

    pub fn is_closed(&self) -> bool {
        self.owned.get().is_none()
    }

    pub fn takes_output(&self) -> bool {
        !self.is_closed() && self.finish.get() == Finish::No
    }

    /// Has the loop call [`prepare`](Source::prepare) before it waits.
    pub fn schedule(&self) {
        if self.is_closed() || self.is_scheduled.replace(true) {
            return;
        }
        if let Some(core) = self.core.upgrade() {
            core.schedule(self.source());
        }
    }

    /// Closes the connection. The rest of the output is sent, or discarded.
    pub fn end(&self, send: bool) {
        let (Some(owned), Some(core)) = (self.owned.take(), self.core.upgrade()) else {
            return;
        };
        self.stop(&core);
        let output = self.output.take();
        let rest = if send { output } else { Buffer::new() };
        match self.phase.replace(Phase::Over) {
            Phase::Connecting(attempt) => attempt.cancel(&core),
            Phase::Open(streams) => base::close(&core, streams, rest),
            Phase::Over => {}
        }
        self.drop_callbacks();
        core.release(owned);
    }

    /// Drops the pollables, which are children of the streams, and stops the timeouts.
    pub fn stop(&self, core: &Core) {
        self.reading.stop(core);
        self.writing.stop(core);
    }

    fn drop_callbacks(&self) {
        self.on_read.set(None);
        self.on_write.set(None);
        self.on_event.set(None);
    }

    /// Ends together with the event base. Returns the rest of an open connection.
    pub fn abandon(&self, core: &Core) -> Option<Remains> {
        self.owned.set(None);
        self.stop(core);
        let output = self.output.take();
        self.drop_callbacks();
        match self.phase.replace(Phase::Over) {
            Phase::Connecting(attempt) => {
                attempt.cancel(core);
                None
            }
            Phase::Open(streams) => Some(Remains::new(streams, output)),
            Phase::Over => None,
        }
    }
}
