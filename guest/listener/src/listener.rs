//! The resource `listener`: the state machine with its socket.

use crate::bindings::exports::evconn::tcp::listener as wit;
use crate::event;
use crate::options::{Options, OptionsCell};
use crate::socket::{self, Accepted};
use evconn_listener_state::{Duration, Instant, Machine, State};
use std::cell::RefCell;
use wasi::clocks::monotonic_clock;
use wasi::io::poll::{self, Pollable};
use wasi::sockets::network::{ErrorCode, IpAddressFamily, IpSocketAddress};
use wasi::sockets::tcp::TcpSocket;

/// What a handle to `listener` stands for.
///
/// A component is entered by one call at a time, so the borrows of the machine never meet.
pub struct ListenerCell {
    socket: TcpSocket,
    machine: RefCell<Machine>,
}

impl ListenerCell {
    fn new(socket: TcpSocket, options: Options) -> wit::Listener {
        wit::Listener::new(Self {
            socket,
            machine: RefCell::new(Machine::new(options.settings)),
        })
    }

    fn state_now(&self) -> State {
        self.machine.borrow().state(monotonic_clock::now())
    }

    /// One attempt to accept, and what is to be told of it.
    fn accept(&self, callback: u64) -> Attempt {
        let mut machine = self.machine.borrow_mut();
        match socket::accept(&self.socket) {
            Accepted::Connection(connection) => {
                machine.delivered();
                Attempt::Event(event::connection(callback, connection))
            }
            Accepted::Aborted => {
                machine.aborted();
                Attempt::Lost
            }
            Accepted::Nothing => Attempt::Nothing,
            Accepted::Failed(code) => match machine.failed(code, monotonic_clock::now()) {
                Some(report) => Attempt::Event(report.into()),
                None => Attempt::Lost,
            },
        }
    }

    /// Wait until there may be something to take, but no longer than until `deadline`.
    /// False if nothing is to be waited for, or the deadline has passed.
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

/// What came of one attempt to accept.
enum Attempt {
    /// Something to deliver.
    Event(wit::Event),
    /// A peer or an error that nobody is told of.
    Lost,
    /// Nobody waits.
    Nothing,
}

impl wit::GuestListener for ListenerCell {
    fn bind(
        address: IpSocketAddress,
        options: Option<wit::OptionsBorrow<'_>>,
    ) -> Result<wit::Listener, ErrorCode> {
        let options = values(options)?;
        if options.ipv6_only && matches!(address, IpSocketAddress::Ipv4(_)) {
            return Err(ErrorCode::InvalidArgument);
        }
        let socket = socket::bind(address, options.backlog)?;
        Ok(Self::new(socket, options))
    }

    fn from_sockets(
        sockets: Vec<TcpSocket>,
        options: Option<wit::OptionsBorrow<'_>>,
    ) -> Result<wit::Listener, ErrorCode> {
        let options = values(options)?;
        let [socket] =
            <[TcpSocket; 1]>::try_from(sockets).map_err(|_| ErrorCode::InvalidArgument)?;
        if options.ipv6_only && socket.address_family() == IpAddressFamily::Ipv4 {
            return Err(ErrorCode::InvalidArgument);
        }
        socket::ensure_listening(&socket, options.backlog)?;
        Ok(Self::new(socket, options))
    }

    fn into_sockets(this: wit::Listener) -> Vec<TcpSocket> {
        vec![this.into_inner::<Self>().socket]
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
        Ok(vec![self.socket.local_address()?])
    }

    fn next_events(&self, max: u32) -> Vec<wit::Event> {
        let mut events = Vec::new();
        // An attempt that nobody is told of counts too: a flood of lost peers has an end here.
        for _ in 0..max {
            let State::Accepting(callback) = self.state_now() else {
                break;
            };
            match self.accept(callback) {
                Attempt::Event(event) => events.push(event),
                Attempt::Lost => {}
                Attempt::Nothing => break,
            }
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
        match self.state_now() {
            State::Accepting(_) => vec![self.socket.subscribe()],
            State::BackingOff(left) => vec![monotonic_clock::subscribe_duration(left)],
            State::Stopped(_) | State::Disabled | State::Paused => vec![],
        }
    }

    fn retry(&self) {
        self.machine.borrow_mut().retry(monotonic_clock::now());
    }

    fn stats(&self) -> wit::Stats {
        self.machine.borrow().stats().into()
    }
}

fn values(options: Option<wit::OptionsBorrow<'_>>) -> Result<Options, ErrorCode> {
    let options = options.map_or_else(Options::default, |options| {
        options.get::<OptionsCell>().get()
    });
    options.check_supported()?;
    Ok(options)
}
