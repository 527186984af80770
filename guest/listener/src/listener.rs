//! The resource `listener`: a state machine, its sockets, and the connections that it holds.

use crate::bindings::evconn::tcp::connection::Connection;
use crate::bindings::exports::evconn::tcp::listener as wit;
use crate::deferred::Deferred;
use crate::event;
use crate::options::{self, OptionsCell};
use crate::socket::Accepted;
use crate::sockets::Sockets;
use evconn_listener_state::{Callback, Duration, Instant, Machine, Options, State};
use std::cell::RefCell;
use wasi::clocks::monotonic_clock;
use wasi::io::poll::{self, Pollable};
use wasi::sockets::network::{ErrorCode, IpSocketAddress};
use wasi::sockets::tcp::TcpSocket;

/// The representation of the resource `listener`.
///
/// Only one call runs in a component at a time, so the borrows of these cells never conflict.
pub struct ListenerCell {
    machine: RefCell<Machine<ErrorCode>>,
    deferred: Option<RefCell<Deferred>>,
    sockets: Sockets,
}

impl ListenerCell {
    fn handle(sockets: Sockets, options: Options) -> wit::Listener {
        wit::Listener::new(Self {
            machine: RefCell::new(Machine::new(options.settings)),
            deferred: options
                .deferred
                .map(|policy| RefCell::new(Deferred::new(policy))),
            sockets,
        })
    }

    fn state_now(&self) -> State<ErrorCode> {
        self.machine.borrow().state(monotonic_clock::now())
    }

    /// Delivers held connections that are readable, and closes those whose deadline has passed.
    fn sweep_held(&self, callback: Callback, max: usize, events: &mut Vec<wit::Event>) {
        let Some(deferred) = &self.deferred else {
            return;
        };
        let sweep = deferred
            .borrow_mut()
            .sweep(max - events.len(), monotonic_clock::now());
        self.machine.borrow_mut().timed_out(sweep.timed_out);
        for connection in sweep.readable {
            events.push(self.delivered(callback, connection));
        }
    }

    /// Accepts until there are `max` events, no peer is left in the accept queue, or the state changes. Attempts
    /// without an event count towards `max`, so that the call returns even if every peer is lost.
    fn accept(&self, callback: Callback, max: usize, events: &mut Vec<wit::Event>) {
        for _ in events.len()..max {
            if self.state_now() != State::Accepting || self.holds_enough() {
                return;
            }
            match self.sockets.accept() {
                Accepted::Connection(connection) => {
                    self.machine.borrow_mut().accepted();
                    events.extend(self.deliver_or_hold(callback, connection));
                }
                Accepted::Aborted => {
                    let mut machine = self.machine.borrow_mut();
                    machine.accepted();
                    machine.aborted();
                }
                Accepted::Nothing => return,
                Accepted::Failed(code) => events.extend(self.failed(code)),
            }
        }
    }

    fn holds_enough(&self) -> bool {
        let deferred = self.deferred.as_ref();
        deferred.is_some_and(|deferred| deferred.borrow().is_full())
    }

    fn deliver_or_hold(&self, callback: Callback, connection: Connection) -> Option<wit::Event> {
        match &self.deferred {
            None => Some(self.delivered(callback, connection)),
            Some(deferred) => {
                let now = monotonic_clock::now();
                deferred.borrow_mut().hold(connection, now);
                None
            }
        }
    }

    fn delivered(&self, callback: Callback, connection: Connection) -> wit::Event {
        self.machine.borrow_mut().delivered();
        event::connection(callback, connection)
    }

    fn failed(&self, code: ErrorCode) -> Option<wit::Event> {
        let mut machine = self.machine.borrow_mut();
        let report = machine.failed(code, monotonic_clock::now());
        if let State::Stopped(_) = machine.state(0)
            && let Some(deferred) = &self.deferred
        {
            // They can never be delivered.
            deferred.borrow_mut().close();
        }
        report.map(wit::Event::from)
    }

    /// Waits until there may be an event, but no longer than until `deadline`. Returns false if there is nothing
    /// to wait for, or the deadline has passed.
    fn wait(&self, deadline: Option<Instant>) -> bool {
        let mut pollables = wit::GuestListener::subscribe(self);
        if let Some(deadline) = deadline {
            if monotonic_clock::now() >= deadline {
                return false;
            }
            pollables.push(monotonic_clock::subscribe_instant(deadline));
        }
        if pollables.is_empty() {
            return false;
        }
        poll::poll(&pollables.iter().collect::<Vec<_>>());
        true
    }
}

impl wit::GuestListener for ListenerCell {
    fn bind(
        address: IpSocketAddress,
        options: Option<wit::OptionsBorrow<'_>>,
    ) -> Result<wit::Listener, ErrorCode> {
        let options = values(options)?;
        Ok(Self::handle(Sockets::bind(address, &options)?, options))
    }

    fn from_sockets(
        sockets: Vec<TcpSocket>,
        options: Option<wit::OptionsBorrow<'_>>,
    ) -> Result<wit::Listener, ErrorCode> {
        let options = values(options)?;
        Ok(Self::handle(Sockets::adopt(sockets, &options)?, options))
    }

    fn into_sockets(this: wit::Listener) -> Vec<TcpSocket> {
        this.into_inner::<Self>().sockets.into_inner()
    }

    fn enable(&self) -> Result<(), ErrorCode> {
        self.machine.borrow_mut().enable()
    }

    fn disable(&self) {
        self.machine.borrow_mut().disable();
    }

    fn state(&self) -> wit::State {
        self.state_now().into()
    }

    fn set_callback(&self, callback: Option<wit::Callback>) {
        self.machine.borrow_mut().set_callback(callback);
    }

    fn set_error_callback(&self, callback: Option<wit::Callback>) {
        self.machine.borrow_mut().set_error_callback(callback);
    }

    fn local_addresses(&self) -> Result<Vec<IpSocketAddress>, ErrorCode> {
        self.sockets.local_addresses()
    }

    fn next_events(&self, max: u32) -> Vec<wit::Event> {
        let mut events = Vec::new();
        let delivers_to = self.machine.borrow().delivers_to();
        if let Some(callback) = delivers_to {
            let max = max as usize;
            self.sweep_held(callback, max, &mut events);
            self.accept(callback, max, &mut events);
        }
        events
    }

    fn wait_events(&self, max: u32, timeout: Option<Duration>) -> Vec<wit::Event> {
        let deadline = timeout.map(|timeout| monotonic_clock::now().saturating_add(timeout));
        loop {
            let events = self.next_events(max);
            if !events.is_empty() || max == 0 || !self.wait(deadline) {
                return events;
            }
        }
    }

    fn subscribe(&self) -> Vec<Pollable> {
        let mut pollables = match self.state_now() {
            State::Stopped(_) | State::Disabled | State::Paused => return vec![],
            State::BackingOff(left) => vec![monotonic_clock::subscribe_duration(left)],
            State::Accepting if self.holds_enough() => vec![],
            State::Accepting => self.sockets.subscribe(),
        };
        if let Some(deferred) = &self.deferred {
            pollables.extend(deferred.borrow().subscribe());
        }
        pollables
    }

    fn retry(&self) {
        self.machine.borrow_mut().retry(monotonic_clock::now());
    }

    fn stats(&self) -> wit::Stats {
        let deferred = self.deferred.as_ref();
        let held = deferred.map_or(0, |deferred| deferred.borrow().len());
        event::stats(self.machine.borrow().stats(), held)
    }
}

fn values(options: Option<wit::OptionsBorrow<'_>>) -> Result<Options, ErrorCode> {
    let options = options.map_or_else(Options::default, |options| {
        options.get::<OptionsCell>().get()
    });
    options::check_supported(&options)?;
    Ok(options)
}
