//! Connections that are being closed.
//!
//! A host may wait when an output stream with unsent bytes is dropped, and the whole instance waits with
//! it. So a closed connection stays here until its output is sent, and its pollable is ready. Only then
//! are its streams and its socket dropped. Its input is discarded meanwhile, until it ends.
//!
//! A connection whose peer accepts nothing for the linger time is given up: the output is dropped, and the
//! socket shut down. On a host that sends in the background the pollable is ready from then on, and the
//! resources are dropped. On wasmtime-wasi it is not ready before the kernel has accepted the last write,
//! and no call of wasi-sockets changes that. Dropping the stream would block the whole instance, and leaking
//! it would leave its descriptor out of every count. So the connection stays here, and counts towards the
//! limit on connections that are being closed, which holds on every host.

use super::core::{Core, Interest, Source};
use super::idle_timeout::IdleTimeout;
use crate::buffer::Buffer;
use crate::remains::{Remains, Streams};
use crate::slab::Key;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};

/// Sends `rest`, and closes the connection as soon as that is possible without waiting.
pub fn close(core: &Rc<Core>, streams: Streams, rest: Buffer) {
    let mut remains = Remains::new(streams, rest);
    if !remains.advance() {
        Closing::start(core, remains);
    }
}

/// A connection that cannot be closed without waiting.
struct Closing {
    /// None once it is closed.
    remains: RefCell<Option<Remains>>,
    input: Cell<Option<Key>>,
    output: Cell<Option<Key>>,
    owned: Cell<Option<Key>>,
    linger: IdleTimeout,
}

impl Closing {
    fn start(core: &Rc<Core>, remains: Remains) {
        let closing = Rc::new(Self {
            remains: RefCell::new(Some(remains)),
            input: Cell::new(None),
            output: Cell::new(None),
            owned: Cell::new(None),
            linger: IdleTimeout::default(),
        });
        closing.linger.set_timeout(core, core.closing.linger());
        closing.wait(core);
        core.closing.increment();
        closing.owned.set(Some(core.own(closing.clone())));
    }

    fn source(self: &Rc<Self>) -> Weak<dyn Source> {
        let this: Weak<Self> = Rc::downgrade(self);
        this
    }

    /// Waits until the output is sent and the input has ended, with a timeout if one is set.
    fn wait(self: &Rc<Self>, core: &Core) {
        let (reads, writes) = match &*self.remains.borrow() {
            Some(remains) => (remains.reads(), !remains.is_finished()),
            None => return,
        };
        self.wait_for(core, reads, &self.input, Interest::Input);
        self.wait_for(core, writes, &self.output, Interest::Output);
        self.linger
            .set_active(true, core, &self.source(), Interest::OutputTimeout);
    }

    /// Registers or deregisters the pollable of one stream.
    fn wait_for(
        self: &Rc<Self>,
        core: &Core,
        wanted: bool,
        key: &Cell<Option<Key>>,
        interest: Interest,
    ) {
        match (wanted, key.get()) {
            (true, None) => {
                let remains = self.remains.borrow();
                let pollable = remains.as_ref().map(|remains| match interest {
                    Interest::Input => remains.streams().input.subscribe(),
                    _ => remains.streams().output.subscribe(),
                });
                let source = self.source();
                key.set(pollable.map(|pollable| core.register(pollable, source, interest)));
            }
            (false, Some(_)) => deregister(core, key),
            (true, Some(_)) | (false, None) => {}
        }
    }

    /// Handles a timer that is due. The peer may have accepted bytes since it was set.
    fn time_out(self: &Rc<Self>, core: &Core) {
        let is_over = self.linger.has_expired(core);
        let is_finished = match &mut *self.remains.borrow_mut() {
            Some(remains) if is_over => {
                remains.give_up();
                remains.is_finished()
            }
            _ => false,
        };
        match is_finished {
            true => self.end(core),
            // It ends when the host has released the bytes that it has taken.
            false if is_over => deregister(core, &self.input),
            false => self.wait(core),
        }
    }

    /// Continues after a stream was ready.
    fn go_on(self: &Rc<Self>, core: &Core, interest: Interest) {
        let (before, after, is_done) = match &mut *self.remains.borrow_mut() {
            None => return,
            Some(remains) => {
                let before = remains.progress();
                let is_done = remains.advance();
                (before, remains.progress(), is_done)
            }
        };
        if is_done {
            return self.end(core);
        }
        if before != after {
            self.linger.restart(core);
        } else if interest == Interest::Output
            && let Some(output) = self.output.get()
        {
            core.report_starved(output);
        }
        self.wait(core);
    }

    /// Drops the pollables, which are children of the streams.
    fn stop(&self, core: &Core) {
        self.linger.stop(core);
        deregister(core, &self.input);
        deregister(core, &self.output);
    }

    fn end(&self, core: &Core) {
        self.stop(core);
        let remains = self.remains.take();
        if let Some(remains) = remains {
            drop(remains);
            core.has_closed();
        }
        if let Some(owned) = self.owned.take() {
            core.release(owned);
        }
    }
}

fn deregister(core: &Core, key: &Cell<Option<Key>>) {
    if let Some(key) = key.take() {
        core.deregister(key);
    }
}

impl Source for Closing {
    fn ready(self: Rc<Self>, core: &Rc<Core>, interest: Interest) {
        match interest {
            Interest::InputTimeout | Interest::OutputTimeout => self.time_out(core),
            Interest::Input | Interest::Output => self.go_on(core, interest),
        }
    }

    /// It is never scheduled: only a ready stream or a timeout changes it.
    fn prepare(self: Rc<Self>, _: &Rc<Core>) {}

    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains> {
        self.stop(core);
        self.remains.take()
    }
}
