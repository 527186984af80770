//! What a buffered connection does when the loop comes by.

use super::Event;
use super::handle::{BufferedConnection, Finish, Inner, OnBytes, State};
use crate::base::closing::{Remains, Streams};
use crate::base::source::{Interest, Source};
use crate::base::{Core, EventBase};
use crate::buffer::Buffer;
use crate::callback::Callback;
use crate::{Direction, error};
use std::io;
use std::rc::Rc;
use wasi::io::streams::StreamError;
use wasi::sockets::tcp::ShutdownType;

/// What is read at a time, at most: as much as the host gives.
const MAX_READ: usize = 512 << 10;

/// What is written before others have their turn.
const MAX_WRITTEN: usize = 1 << 20;

impl Inner {
    /// What connecting has come to.
    pub(super) fn connected(&self, base: &EventBase, streams: io::Result<Streams>) {
        match streams {
            Ok(streams) => {
                self.state.replace(State::Open(streams));
                self.writes.patience.touch(&base.0);
                self.report(Event::Connected);
                self.changed();
            }
            Err(error) => {
                self.state.replace(State::Over);
                self.fail(&base.0, error);
            }
        }
    }

    fn call(&self, callback: &Callback<OnBytes>) {
        if let (Some(callback), Some(this)) = (callback.get(), self.this.upgrade()) {
            (callback.borrow_mut())(&BufferedConnection(this));
        }
    }

    /// Call the event callback. Without one, whatever ends a direction closes the connection.
    fn report(&self, event: Event) {
        match (self.on_event.get(), self.this.upgrade()) {
            (Some(callback), Some(this)) => {
                (callback.borrow_mut())(&BufferedConnection(this), event);
            }
            _ if matches!(event, Event::Connected) => {}
            _ => self.end(!matches!(event, Event::TimedOut(Direction::Write))),
        }
    }

    /// Nothing more comes of it.
    fn fail(&self, core: &Core, error: io::Error) {
        self.has_ended.set(true);
        self.reads.enabled.set(false);
        self.writes.enabled.set(false);
        self.stop(core);
        let discarded = self.output.take();
        drop(discarded);
        self.report(Event::Error(error));
    }

    /// Whether it is to read now.
    fn wants_input(&self) -> bool {
        let max_output = self.writes.high.get();
        self.reads.enabled.get()
            && !self.has_ended.get()
            && self.room() > 0
            && (max_output == 0 || self.output.borrow().len() <= max_output)
    }

    /// How much may be read now.
    fn room(&self) -> usize {
        match self.reads.high.get() {
            0 => MAX_READ,
            high => high.saturating_sub(self.input.borrow().len()).min(MAX_READ),
        }
    }

    fn read(&self, core: &Core) {
        let bytes = match &*self.state.borrow() {
            State::Open(streams) if self.wants_input() => streams.input.read(self.room() as u64),
            _ => return,
        };
        match bytes {
            // Ready is a hint.
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                self.reads.patience.touch(core);
                self.input.borrow_mut().append(&mut Buffer::from(bytes));
                if self.input.borrow().len() >= self.reads.low.get() {
                    self.call(&self.on_read);
                }
            }
            Err(StreamError::Closed) => {
                self.has_ended.set(true);
                self.report(Event::End);
            }
            Err(StreamError::LastOperationFailed(error)) => {
                self.fail(core, error::of_stream(&error));
            }
        }
    }

    /// Write what the host takes now.
    fn write(&self, core: &Core) {
        let was_ready = self.was_ready.take();
        match self.write_output() {
            Ok(0) => {
                if let Some(wait) = self.writes.wait.get()
                    && was_ready
                    && self.is_blocked.get()
                {
                    core.starved(wait);
                }
            }
            Ok(_) => {
                self.writes.patience.touch(core);
                if self.output.borrow().len() <= self.writes.low.get() {
                    self.call(&self.on_write);
                }
            }
            Err(error) => self.fail(core, error),
        }
        self.end_output();
    }

    /// How much of the output was written.
    fn write_output(&self) -> io::Result<usize> {
        let state = self.state.borrow();
        let State::Open(streams) = &*state else {
            return Ok(0);
        };
        let mut output = self.output.borrow_mut();
        let mut written = 0;
        while self.writes.enabled.get() && !output.is_empty() && written < MAX_WRITTEN {
            let permit = streams.output.check_write().map_err(error::of_output)?;
            if permit == 0 {
                self.is_blocked.set(true);
                break;
            }
            let first = output.first();
            let part = &first[..first.len().min(permit as usize)];
            streams.output.write(part).map_err(error::of_output)?;
            let count = part.len();
            output.consume(count);
            written += count;
        }
        Ok(written)
    }

    /// End the sending direction, if that is wanted and nothing is left to be sent.
    fn end_output(&self) {
        if self.finish.get() == Finish::WhenSent
            && self.output.borrow().is_empty()
            && let State::Open(streams) = &*self.state.borrow()
        {
            self.finish.set(Finish::Done);
            // A peer that has left meanwhile need not be told.
            let _ = streams.socket.shutdown(ShutdownType::Send);
        }
    }

    /// Wait for what is wanted, and for nothing else.
    fn wait(&self, core: &Core) {
        let state = self.state.borrow();
        let source = self.source();
        let (input, output) = match &*state {
            State::Over => (false, false),
            State::Connecting(_) => (false, true),
            State::Open(streams) => {
                let input = self.wants_input();
                match (input, self.reads.wait.get()) {
                    (false, Some(_)) => self.reads.stop_waiting(core),
                    (true, None) => {
                        let pollable = streams.input.subscribe();
                        let wait = core.wait(pollable, source.clone(), Interest::Input);
                        self.reads.wait.set(Some(wait));
                    }
                    _ => {}
                }
                let output = self.writes.enabled.get() && !self.output.borrow().is_empty();
                match (output && self.is_blocked.get(), self.writes.wait.get()) {
                    (false, Some(_)) => self.writes.stop_waiting(core),
                    (true, None) => {
                        let pollable = streams.output.subscribe();
                        let wait = core.wait(pollable, source.clone(), Interest::Output);
                        self.writes.wait.set(Some(wait));
                    }
                    _ => {}
                }
                (input, output)
            }
        };
        self.reads
            .patience
            .set_active(input, core, &source, Interest::InputTimeout);
        self.writes
            .patience
            .set_active(output, core, &source, Interest::OutputTimeout);
    }

    fn time_out(&self, core: &Core, direction: Direction) {
        let side = match direction {
            Direction::Read => &self.reads,
            Direction::Write | Direction::Both => &self.writes,
        };
        if !side.patience.has_timed_out(core) {
            return;
        }
        side.enabled.set(false);
        let is_connecting = matches!(&*self.state.borrow(), State::Connecting(_));
        if is_connecting && let State::Connecting(attempt) = self.state.replace(State::Over) {
            attempt.cancel(core);
        }
        self.report(Event::TimedOut(direction));
    }
}

impl Source for Inner {
    fn ready(self: Rc<Self>, base: &EventBase, interest: Interest) {
        match interest {
            Interest::Input => self.read(&base.0),
            Interest::Output => {
                self.is_blocked.set(false);
                self.was_ready.set(true);
            }
            Interest::InputTimeout => self.time_out(&base.0, Direction::Read),
            Interest::OutputTimeout => self.time_out(&base.0, Direction::Write),
        }
        // What the callback has sent is written when all that is ready has had its turn.
        self.changed();
    }

    fn settle(self: Rc<Self>, base: &EventBase) {
        self.is_changed.set(false);
        if !self.is_blocked.get() {
            self.write(&base.0);
        }
        if self.kept.get().is_none() {
            return;
        }
        self.wait(&base.0);
        let is_left = self.writes.enabled.get() && !self.output.borrow().is_empty();
        let is_open = matches!(&*self.state.borrow(), State::Open(_));
        if is_left && is_open && !self.is_blocked.get() {
            self.changed();
        }
    }

    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains> {
        self.kept.set(None);
        self.stop(core);
        let output = self.output.take();
        self.drop_callbacks();
        match self.state.replace(State::Over) {
            State::Connecting(attempt) => {
                attempt.cancel(core);
                None
            }
            State::Open(streams) => Some(Remains::new(streams, output)),
            State::Over => None,
        }
    }
}
