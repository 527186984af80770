//! What a buffered connection does when the loop calls it: reading, writing, and reporting events.

use super::event::Event;
use super::half::Half;
use super::shared::{BufferedShared, Finish, OnBytes, Phase};
use crate::base::{Core, Interest, Source};
use crate::buffer::Buffer;
use crate::callback::Callback;
use crate::remains::{Remains, Streams};
use crate::{Direction, error};
use std::io;
use std::rc::Rc;
use wasi::io::poll::Pollable;
use wasi::io::streams::StreamError;
use wasi::sockets::tcp::ShutdownType;

/// The maximum length of one read, in bytes: as much as the host returns.
const MAX_READ: usize = 512 << 10;

/// The maximum number of bytes that are written before other connections are called.
const MAX_WRITTEN: usize = 1 << 20;

impl BufferedShared {
    /// Handles the outcome of connecting.
    pub fn connected(&self, core: &Core, streams: io::Result<Streams>) {
        match streams {
            Ok(streams) => {
                self.phase.replace(Phase::Open(streams));
                self.writing.timeout.restart(core);
                self.report(Event::Connected);
                self.schedule();
            }
            Err(error) => {
                self.phase.replace(Phase::Over);
                self.fail(core, error);
            }
        }
    }

    fn call(&self, callback: &Callback<OnBytes>) {
        if let (Some(callback), Some(this)) = (callback.get(), self.this.upgrade()) {
            (callback.borrow_mut())(&this);
        }
    }

    /// Calls the event callback. Without one, an event that ends a direction closes the connection.
    fn report(&self, event: Event) {
        match (self.on_event.get(), self.this.upgrade()) {
            (Some(callback), Some(this)) => {
                (callback.borrow_mut())(&this, event);
            }
            _ if matches!(event, Event::Connected) => {}
            _ => self.end(!matches!(event, Event::TimedOut(Direction::Write))),
        }
    }

    /// Handles an error that ends both directions.
    fn fail(&self, core: &Core, error: io::Error) {
        self.has_ended.set(true);
        self.reading.enabled.set(false);
        self.writing.enabled.set(false);
        self.stop(core);
        let discarded = self.output.take();
        drop(discarded);
        self.report(Event::Error(error));
    }

    /// Returns whether to read now.
    fn wants_input(&self) -> bool {
        let max_output = self.writing.high.get();
        self.reading.enabled.get()
            && !self.has_ended.get()
            && self.input_capacity() > 0
            && (max_output == 0 || self.output.borrow().len() <= max_output)
    }

    /// Returns how many bytes may be read now.
    fn input_capacity(&self) -> usize {
        match self.reading.high.get() {
            0 => MAX_READ,
            high => high.saturating_sub(self.input.borrow().len()).min(MAX_READ),
        }
    }

    fn read(&self, core: &Core) {
        let bytes = match &*self.phase.borrow() {
            Phase::Open(streams) if self.wants_input() => {
                streams.input.read(self.input_capacity() as u64)
            }
            _ => return,
        };
        match bytes {
            // Readiness is a hint.
            Ok(bytes) if bytes.is_empty() => {}
            Ok(bytes) => {
                self.reading.timeout.restart(core);
                self.input.borrow_mut().append(&mut Buffer::from(bytes));
                if self.input.borrow().len() >= self.reading.low.get() {
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

    /// Writes as many bytes as the host accepts now.
    fn write(&self, core: &Core) {
        let was_ready = self.was_ready.take();
        match self.write_output() {
            Ok(0) => {
                if let Some(output) = self.writing.registered.get()
                    && was_ready
                    && self.is_blocked.get()
                {
                    core.report_starved(output);
                }
            }
            Ok(_) => {
                self.writing.timeout.restart(core);
                if self.output.borrow().len() <= self.writing.low.get() {
                    self.call(&self.on_write);
                }
            }
            Err(error) => self.fail(core, error),
        }
        self.end_output();
    }

    /// Returns how many bytes were written.
    fn write_output(&self) -> io::Result<usize> {
        let phase = self.phase.borrow();
        let Phase::Open(streams) = &*phase else {
            return Ok(0);
        };
        let mut output = self.output.borrow_mut();
        let mut written = 0;
        while self.writing.enabled.get() && !output.is_empty() && written < MAX_WRITTEN {
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

    /// Ends the sending direction, if [`finish`](crate::BufferedConnection::finish) was called and the
    /// output is empty.
    fn end_output(&self) {
        if self.finish.get() == Finish::WhenSent
            && self.output.borrow().is_empty()
            && let Phase::Open(streams) = &*self.phase.borrow()
        {
            self.finish.set(Finish::Done);
            // An error means that the connection has failed, which the next read reports.
            let _ = streams.socket.shutdown(ShutdownType::Send);
        }
    }

    /// Returns whether there is output to be written.
    fn wants_output(&self) -> bool {
        self.writing.enabled.get() && !self.output.borrow().is_empty()
    }

    /// Registers what is to be waited for, deregisters everything else, and sets the timeouts.
    fn wait(&self, core: &Core) {
        let (reads, writes) = match &*self.phase.borrow() {
            Phase::Over => (false, false),
            Phase::Connecting(_) => (false, true),
            Phase::Open(streams) => self.wait_for_streams(core, streams),
        };
        let source = self.source();
        let (reading, writing) = (&self.reading.timeout, &self.writing.timeout);
        reading.set_active(reads, core, &source, Interest::InputTimeout);
        writing.set_active(writes, core, &source, Interest::OutputTimeout);
    }

    /// Returns whether there is something to be read, and to be written.
    fn wait_for_streams(&self, core: &Core, streams: &Streams) -> (bool, bool) {
        let (reads, writes) = (self.wants_input(), self.wants_output());
        let input = || streams.input.subscribe();
        self.wait_for(core, &self.reading, reads, Interest::Input, input);
        let blocked = writes && self.is_blocked.get();
        let output = || streams.output.subscribe();
        self.wait_for(core, &self.writing, blocked, Interest::Output, output);
        (reads, writes)
    }

    /// Registers or deregisters the pollable of one half.
    fn wait_for(
        &self,
        core: &Core,
        half: &Half,
        wanted: bool,
        interest: Interest,
        subscribe: impl FnOnce() -> Pollable,
    ) {
        match (wanted, half.registered.get()) {
            (false, Some(_)) => half.deregister(core),
            (true, None) => {
                let key = core.register(subscribe(), self.source(), interest);
                half.registered.set(Some(key));
            }
            (false, None) | (true, Some(_)) => {}
        }
    }

    fn time_out(&self, core: &Core, half: &Half, direction: Direction) {
        if !half.timeout.has_expired(core) {
            return;
        }
        half.enabled.set(false);
        let is_connecting = matches!(&*self.phase.borrow(), Phase::Connecting(_));
        if is_connecting && let Phase::Connecting(attempt) = self.phase.replace(Phase::Over) {
            attempt.cancel(core);
        }
        self.report(Event::TimedOut(direction));
    }
}

impl Source for BufferedShared {
    fn ready(self: Rc<Self>, core: &Rc<Core>, interest: Interest) {
        match interest {
            Interest::Input => self.read(core),
            Interest::Output => {
                self.is_blocked.set(false);
                self.was_ready.set(true);
            }
            Interest::InputTimeout => self.time_out(core, &self.reading, Direction::Read),
            Interest::OutputTimeout => self.time_out(core, &self.writing, Direction::Write),
        }
        // Output is written after the callbacks of everything that is ready.
        self.schedule();
    }

    fn prepare(self: Rc<Self>, core: &Rc<Core>) {
        self.is_scheduled.set(false);
        if !self.is_blocked.get() {
            self.write(core);
        }
        if self.is_closed() {
            return;
        }
        self.wait(core);
        let is_open = matches!(&*self.phase.borrow(), Phase::Open(_));
        if self.wants_output() && is_open && !self.is_blocked.get() {
            self.schedule();
        }
    }

    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains> {
        Self::abandon(&self, core)
    }
}
