//! The resource `listener`: a state machine, its sockets, and the connections that it holds.

use crate::bindings::exports::evconn::tcp::listener as wit;
use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::sockets::types::{ErrorCode, IpSocketAddress, TcpSocket};
use crate::changes::Changes;
use crate::deferred::Deferred;
use crate::event;
use crate::options::{self, OptionsCell};
use crate::queue::Queue;
use crate::socket::Accepted;
use crate::sockets::{self, Sockets, Streams};
use evconn_listener_state::{Callback, Machine, Options, State};
use futures_util::lock::Mutex;
use std::cell::{Cell, RefCell};

/// The representation of the resource `listener`.
///
/// Calls are in tasks of their own, of which one runs at a time. The borrows of the cells end before a task waits, so
/// that they never conflict. The queue is taken for as long as a call of `next-events` waits.
pub struct ListenerCell {
    machine: RefCell<Machine<ErrorCode>>,
    sockets: Vec<TcpSocket>,
    queue: Mutex<Queue>,
    /// How many connections are held.
    held: Cell<u32>,
    changes: Changes,
}

impl ListenerCell {
    fn handle(listening: Sockets, options: Options) -> wit::Listener {
        let (sockets, connections): (Vec<_>, Vec<_>) = listening.into_iter().unzip();
        wit::Listener::new(Self {
            machine: RefCell::new(Machine::new(options.settings)),
            sockets,
            queue: Mutex::new(Queue {
                streams: Streams::new(connections),
                deferred: options.deferred.map(Deferred::new),
            }),
            held: Cell::new(0),
            changes: Changes::default(),
        })
    }

    fn state_now(&self) -> State<ErrorCode> {
        self.machine.borrow().state(monotonic_clock::now())
    }

    /// Changes the state machine, and has a call that waits take notice.
    fn change<R>(&self, change: impl FnOnce(&mut Machine<ErrorCode>) -> R) -> R {
        let result = change(&mut self.machine.borrow_mut());
        self.changes.notify();
        result
    }

    /// Takes up to `max` events, without waiting.
    fn take(&self, queue: &mut Queue, max: usize) -> Vec<wit::Event> {
        let mut events = Vec::new();
        let delivers_to = self.machine.borrow().delivers_to();
        if let Some(callback) = delivers_to {
            self.sweep_held(queue, callback, max, &mut events);
            self.accept(queue, callback, max, &mut events);
            self.held.set(queue.held());
        }
        events
    }

    /// Delivers held connections that are readable, and closes those whose deadline has passed.
    fn sweep_held(
        &self,
        queue: &mut Queue,
        callback: Callback,
        max: usize,
        events: &mut Vec<wit::Event>,
    ) {
        let Some(deferred) = &mut queue.deferred else {
            return;
        };
        let sweep = deferred.sweep(max, monotonic_clock::now());
        self.machine.borrow_mut().timed_out(sweep.timed_out);
        for held in sweep.readable {
            let received = Some(held.received);
            events.push(self.delivered(callback, (held.socket, held.peer_address), received));
        }
    }

    /// Accepts until there are `max` events, no peer is left in the accept queue, or the state changes. Attempts
    /// without an event count towards `max`, so that the call returns even if every peer is lost.
    fn accept(
        &self,
        queue: &mut Queue,
        callback: Callback,
        max: usize,
        events: &mut Vec<wit::Event>,
    ) {
        for _ in events.len()..max {
            if !matches!(self.state_now(), State::Accepting) || queue.holds_enough() {
                return;
            }
            match queue.streams.accept() {
                Accepted::Connection(socket, peer_address) => {
                    self.machine.borrow_mut().accepted();
                    let connection = (socket, peer_address);
                    events.extend(self.deliver_or_hold(queue, callback, connection));
                }
                Accepted::Aborted => {
                    let mut machine = self.machine.borrow_mut();
                    machine.accepted();
                    machine.aborted();
                }
                Accepted::Nothing => return,
                Accepted::Failed(code) => events.extend(self.failed(queue, code)),
            }
        }
    }

    fn deliver_or_hold(
        &self,
        queue: &mut Queue,
        callback: Callback,
        (socket, peer_address): (TcpSocket, IpSocketAddress),
    ) -> Option<wit::Event> {
        let Some(deferred) = &mut queue.deferred else {
            return Some(self.delivered(callback, (socket, peer_address), None));
        };
        deferred.hold(socket, peer_address, monotonic_clock::now());
        None
    }

    fn delivered(
        &self,
        callback: Callback,
        (socket, peer_address): (TcpSocket, IpSocketAddress),
        received: Option<wit::Received>,
    ) -> wit::Event {
        self.machine.borrow_mut().delivered();
        wit::Event::Connection(wit::ConnectionEvent {
            callback,
            socket,
            peer_address,
            received,
        })
    }

    fn failed(&self, queue: &mut Queue, code: ErrorCode) -> Option<wit::Event> {
        let mut machine = self.machine.borrow_mut();
        let report = machine.failed(code, monotonic_clock::now());
        if let (true, Some(deferred)) = (machine.has_stopped(), &mut queue.deferred) {
            // They can never be delivered.
            deferred.close();
        }
        report.map(wit::Event::from)
    }
}

impl wit::GuestListener for ListenerCell {
    fn bind(
        address: IpSocketAddress,
        options: Option<wit::OptionsBorrow<'_>>,
    ) -> Result<wit::Listener, ErrorCode> {
        let options = values(options)?;
        Ok(Self::handle(sockets::bind(address, &options)?, options))
    }

    fn from_sockets(
        sockets: Vec<wit::ListeningSocket>,
        options: Option<wit::OptionsBorrow<'_>>,
    ) -> Result<wit::Listener, ErrorCode> {
        let options = values(options)?;
        Ok(Self::handle(sockets::adopt(sockets, &options)?, options))
    }

    fn into_sockets(this: wit::Listener) -> Vec<wit::ListeningSocket> {
        let Self { sockets, queue, .. } = this.into_inner();
        let connections = queue.into_inner().streams.into_inner();
        let listening = sockets.into_iter().zip(connections);
        listening
            .map(|(socket, connections)| wit::ListeningSocket {
                socket,
                connections,
            })
            .collect()
    }

    fn enable(&self) -> Result<(), ErrorCode> {
        self.change(Machine::enable)
    }

    fn disable(&self) {
        self.change(Machine::disable);
    }

    fn state(&self) -> wit::State {
        self.state_now().into()
    }

    fn set_callback(&self, callback: Option<wit::Callback>) {
        self.change(|machine| machine.set_callback(callback));
    }

    fn set_error_callback(&self, callback: Option<wit::Callback>) {
        self.change(|machine| machine.set_error_callback(callback));
    }

    fn local_addresses(&self) -> Result<Vec<IpSocketAddress>, ErrorCode> {
        self.sockets
            .iter()
            .map(TcpSocket::get_local_address)
            .collect()
    }

    async fn next_events(&self, max: u32) -> Vec<wit::Event> {
        if max == 0 {
            return Vec::new();
        }
        let mut queue = self.queue.lock().await;
        loop {
            self.changes.forget();
            let events = self.take(&mut queue, max as usize);
            if !events.is_empty() || self.machine.borrow().has_stopped() {
                return events;
            }
            queue.wait(self.state_now(), &self.changes).await;
        }
    }

    fn retry(&self) {
        self.change(|machine| machine.retry(monotonic_clock::now()));
    }

    fn stats(&self) -> wit::Stats {
        event::stats(self.machine.borrow().stats(), self.held.get())
    }
}

fn values(options: Option<wit::OptionsBorrow<'_>>) -> Result<Options, ErrorCode> {
    let options = options.map_or_else(Options::default, |options| {
        options.get::<OptionsCell>().get()
    });
    options::check_supported(&options)?;
    Ok(options)
}
