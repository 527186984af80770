//! A listener in a state, with a peer that waits for it.

use super::super::instance::{Instance, State as WitState, Stats};
use crate::support::alone::alone;
use crate::support::limit::NoMoreDescriptors;
use crate::support::{connect, descriptors};
use std::future::Future;
use std::net::SocketAddr;
use std::time::Duration;
use tokio::net::TcpStream;
use wasmtime::component::ResourceAny;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// What the listener is made with, for connections and for errors.
pub const CALLBACK: u64 = 1;

/// The states of `wit/SEMANTICS.md`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    Accepting,
    BackingOff,
    Paused,
    Disabled,
    Stopped,
}

/// An event that was taken: whose it was, a connection's callback or an error's.
pub type Taken = Result<u64, u64>;

/// A listener that was in `state` when the test began.
pub struct Case {
    pub state: State,
    pub address: SocketAddr,
    instance: Instance,
    listener: ResourceAny,
    /// While it is backing off.
    no_more: Option<NoMoreDescriptors>,
    _waiting: TcpStream,
}

/// Runs a test with a listener in `state`. Out of descriptors is the state of a whole process: what
/// backs off has one of its own.
pub fn run<F: Future<Output = ()>>(name: &str, state: State, test: impl FnOnce(Case) -> F) {
    let body = || {
        let _open = descriptors::unchanged();
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            .build()
            .expect("a runtime");
        runtime.block_on(async { test(Case::new(state).await).await });
    };
    match state {
        State::BackingOff => alone(name, body),
        State::Accepting | State::Paused | State::Disabled | State::Stopped => body(),
    }
}

impl Case {
    async fn new(state: State) -> Self {
        let mut instance = Instance::new().await;
        let (listener, address) = instance.listen(CALLBACK).await;
        let mut case = Self {
            state,
            address,
            instance,
            listener,
            no_more: None,
            _waiting: connect(address).await,
        };
        case.set_error_callback(Some(CALLBACK)).await;
        match state {
            State::Accepting => {}
            State::BackingOff => case.back_off().await,
            State::Paused => case.set_callback(None).await,
            State::Disabled => case.disable().await,
            State::Stopped => {
                case.break_it();
                // The peer that waited may have been accepted ahead.
                while case.wait_events(None).await != [Err(CALLBACK)] {}
            }
        }
        case.expect(state).await;
        case
    }

    /// Until a step is running that outlasts what a test does in it: 5 ms doubled seven times.
    async fn back_off(&mut self) {
        self.no_more = Some(NoMoreDescriptors::new());
        for _ in 0..8 {
            assert_eq!(self.wait_events(None).await, [Err(CALLBACK)]);
        }
    }

    pub fn break_it(&self) {
        descriptors::break_listening(self.address);
    }

    pub async fn expect(&mut self, expected: State) {
        let state = match self.wit_state().await {
            WitState::Accepting => State::Accepting,
            WitState::Disabled => State::Disabled,
            WitState::Paused => State::Paused,
            WitState::BackingOff(_) => State::BackingOff,
            WitState::Stopped(_) => State::Stopped,
        };
        assert_eq!(state, expected);
    }

    pub async fn wit_state(&mut self) -> WitState {
        self.instance.state(self.listener).await
    }

    pub async fn enable(&mut self) -> Result<(), ErrorCode> {
        let (guest, store) = self.instance.listeners();
        let result = guest.call_enable(store, self.listener).await;
        result.expect("no trap")
    }

    pub async fn disable(&mut self) {
        self.instance.disable(self.listener).await;
    }

    pub async fn set_callback(&mut self, callback: Option<u64>) {
        self.instance.set_callback(self.listener, callback).await;
    }

    pub async fn set_error_callback(&mut self, callback: Option<u64>) {
        let (guest, store) = self.instance.listeners();
        let result = guest.call_set_error_callback(store, self.listener, callback);
        result.await.expect("no trap");
    }

    pub async fn local_address(&mut self) -> SocketAddr {
        self.instance.address(self.listener).await
    }

    pub async fn next_events(&mut self, max: u32) -> Vec<Taken> {
        self.instance.next_taken(self.listener, max).await
    }

    /// One event.
    pub async fn wait_events(&mut self, timeout: Option<u64>) -> Vec<Taken> {
        self.instance.wait_taken(self.listener, 1, timeout).await
    }

    /// Returns how many pollables there are. They are dropped.
    pub async fn subscribe(&mut self) -> usize {
        let pollables = self.instance.subscribe(self.listener).await;
        let count = pollables.len();
        self.instance.unsubscribe(pollables);
        count
    }

    pub async fn retry(&mut self) {
        let (guest, store) = self.instance.listeners();
        let result = guest.call_retry(store, self.listener).await;
        result.expect("no trap");
    }

    /// Waits until a retry has an effect again.
    pub async fn wait_out_the_retry_limit(&self) {
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    pub async fn stats(&mut self) -> Stats {
        let (guest, store) = self.instance.listeners();
        let stats = guest.call_stats(store, self.listener).await;
        stats.expect("no trap")
    }

    pub async fn take_apart_and_put_together(mut self) -> Self {
        let sockets = self.instance.take_apart(self.listener).await;
        assert_eq!(sockets.len(), 1);
        self.listener = match self.instance.put_together(sockets).await {
            Ok(listener) => listener,
            // A socket that was shut down cannot be made to listen again.
            Err(code) => panic!("{:?}: {code:?}", self.state),
        };
        self
    }

    pub async fn drop(mut self) {
        let store = &mut self.instance.store;
        let dropped = self.listener.resource_drop_async(store).await;
        dropped.expect("dropped");
    }
}
