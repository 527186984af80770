//! A component that is composed between the listener and an application: it exports the interface that it imports,
//! and admits only the peers whose IP addresses are in the environment variable `EVCONN_FILTER`, separated by
//! commas. Without this variable it admits all peers.
//!
//! The connection of a peer that is not admitted is closed. It is counted as a peer error, and not as accepted.

mod peers;
mod translate;

mod bindings {
    wit_bindgen::generate!({
        inline: "
            package evconn:example-filter;
            world filter {
                import wasi:cli/environment@0.2.12;
                import evconn:tcp/listener@0.1.0;
                export evconn:tcp/listener@0.1.0;
            }
        ",
        path: "../../../wit",
        world: "evconn:example-filter/filter",
        generate_all,
        with: {
            "wasi:cli/environment@0.2.12": ::wasi::cli::environment,
            "wasi:clocks/monotonic-clock@0.2.12": ::wasi::clocks::monotonic_clock,
            "wasi:io/error@0.2.12": ::wasi::io::error,
            "wasi:io/poll@0.2.12": ::wasi::io::poll,
            "wasi:io/streams@0.2.12": ::wasi::io::streams,
            "wasi:sockets/network@0.2.12": ::wasi::sockets::network,
            "wasi:sockets/tcp@0.2.12": ::wasi::sockets::tcp,
        },
    });
}

use bindings::evconn::tcp::listener as inner;
use bindings::exports::evconn::tcp::listener as outer;
use peers::Peers;
use std::cell::Cell;
use wasi::clocks::monotonic_clock::{self, Duration};
use wasi::io::poll::Pollable;
use wasi::sockets::network::{ErrorCode, IpSocketAddress};
use wasi::sockets::tcp::TcpSocket;

struct Component;

impl outer::Guest for Component {
    type Options = Options;
    type Listener = Filter;
}

/// The options of the imported listener.
struct Options(inner::Options);

impl outer::GuestOptions for Options {
    fn new() -> Self {
        Self(inner::Options::new())
    }

    fn set_backlog(&self, size: u32) -> Result<(), ErrorCode> {
        self.0.set_backlog(size)
    }

    fn set_enabled(&self, enabled: bool) {
        self.0.set_enabled(enabled);
    }

    fn set_callback(&self, callback: Option<outer::Callback>) {
        self.0.set_callback(callback);
    }

    fn set_error_callback(&self, callback: Option<outer::Callback>) {
        self.0.set_error_callback(callback);
    }

    fn set_dual_stack(&self, value: bool) {
        self.0.set_dual_stack(value);
    }

    fn set_ipv6_only(&self, value: bool) {
        self.0.set_ipv6_only(value);
    }

    fn set_reuse_port(&self, value: bool) {
        self.0.set_reuse_port(value);
    }

    fn set_deferred_accept(&self, max_held: u32, timeout: Duration) -> Result<(), ErrorCode> {
        self.0.set_deferred_accept(max_held, timeout)
    }
}

/// The imported listener, and the peers that are admitted.
struct Filter {
    listener: inner::Listener,
    peers: Peers,
    rejected: Cell<u64>,
}

impl Filter {
    fn handle(listener: inner::Listener) -> outer::Listener {
        outer::Listener::new(Self {
            listener,
            peers: Peers::from_environment(),
            rejected: Cell::new(0),
        })
    }

    /// Returns the events that the application receives. The other connections are closed.
    fn admitted(&self, events: Vec<inner::Event>) -> Vec<outer::Event> {
        let is_admitted = |event: &inner::Event| match event {
            inner::Event::Connection(event) => self.peers.include(&event.connection.peer_address),
            inner::Event::Error(_) => true,
        };
        let count = events.len();
        let events: Vec<_> = events.into_iter().filter(is_admitted).collect();
        let rejected = (count - events.len()) as u64;
        self.rejected.set(self.rejected.get() + rejected);
        events.into_iter().map(outer::Event::from).collect()
    }
}

impl outer::GuestListener for Filter {
    fn bind(
        address: IpSocketAddress,
        options: Option<outer::OptionsBorrow<'_>>,
    ) -> Result<outer::Listener, ErrorCode> {
        let options = options.as_ref().map(|options| &options.get::<Options>().0);
        inner::Listener::bind(address, options).map(Self::handle)
    }

    fn from_sockets(
        sockets: Vec<TcpSocket>,
        options: Option<outer::OptionsBorrow<'_>>,
    ) -> Result<outer::Listener, ErrorCode> {
        let options = options.as_ref().map(|options| &options.get::<Options>().0);
        inner::Listener::from_sockets(sockets, options).map(Self::handle)
    }

    fn into_sockets(this: outer::Listener) -> Vec<TcpSocket> {
        inner::Listener::into_sockets(this.into_inner::<Self>().listener)
    }

    fn enable(&self) -> Result<(), ErrorCode> {
        self.listener.enable()
    }

    fn disable(&self) {
        self.listener.disable();
    }

    fn state(&self) -> outer::State {
        self.listener.state().into()
    }

    fn set_callback(&self, callback: Option<outer::Callback>) {
        self.listener.set_callback(callback);
    }

    fn set_error_callback(&self, callback: Option<outer::Callback>) {
        self.listener.set_error_callback(callback);
    }

    fn local_addresses(&self) -> Result<Vec<IpSocketAddress>, ErrorCode> {
        self.listener.local_addresses()
    }

    fn next_events(&self, max: u32) -> Vec<outer::Event> {
        self.admitted(self.listener.next_events(max))
    }

    /// Continues to wait if no peer was admitted.
    fn wait_events(&self, max: u32, timeout: Option<Duration>) -> Vec<outer::Event> {
        let deadline = timeout.map(|timeout| monotonic_clock::now().saturating_add(timeout));
        loop {
            let left = deadline.map(|at| at.saturating_sub(monotonic_clock::now()));
            let events = self.listener.wait_events(max, left);
            let is_over = events.is_empty();
            let events = self.admitted(events);
            if is_over || !events.is_empty() {
                return events;
            }
        }
    }

    fn subscribe(&self) -> Vec<Pollable> {
        self.listener.subscribe()
    }

    fn retry(&self) {
        self.listener.retry();
    }

    fn stats(&self) -> outer::Stats {
        let mut stats = outer::Stats::from(self.listener.stats());
        stats.accepted -= self.rejected.get();
        stats.peer_errors += self.rejected.get();
        stats
    }
}

#[allow(unsafe_code, reason = "generated by wit-bindgen")]
mod exports {
    use super::{Component, bindings};

    bindings::export!(Component with_types_in bindings);
}
