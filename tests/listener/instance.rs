//! `listener.wasm` in a store in which everything is granted, driven call by call.

use super::linked::bindings::exports::evconn::tcp::listener::{GuestListener, GuestOptions};
use super::linked::bindings::{Provider, ProviderPre};
use super::linked::{self, Ctx, TcpSocket};
use crate::support::within;
use futures_util::FutureExt;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::OnceLock;
use wasmtime::component::{Component, Linker, Resource, ResourceAny, ResourceTable};
use wasmtime::{Config, Engine, Store};
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;
use wasmtime_wasi::{WasiCtx, WasiView};

pub use super::linked::bindings::exports::evconn::tcp::listener::{Event, Recovery, State, Stats};

/// With its type: `[]` alone could be compared with several, some of them from dependencies.
pub const NO_EVENTS: [u64; 0] = [];

/// The component, compiled once for all tests: that takes far longer than a test.
fn compiled() -> &'static ProviderPre<Ctx> {
    static COMPILED: OnceLock<ProviderPre<Ctx>> = OnceLock::new();
    COMPILED.get_or_init(|| {
        let mut config = Config::new();
        config.concurrency_support(false);
        let engine = Engine::new(&config).expect("an engine");
        let component = Component::new(&engine, evconn::guests::LISTENER).expect("a component");
        let mut linker = Linker::new(&engine);
        linked::add_to_linker(&mut linker).expect("WASI");
        let linked = linker.instantiate_pre(&component).expect("all is imported");
        ProviderPre::new(linked).expect("the world `provider`")
    })
}

/// The component and its store. A trap is a failed test. So is a resource that is left in the table
/// when it is dropped: its listeners are dropped with it, all else is the test's.
pub struct Instance {
    pub store: Store<Ctx>,
    provider: Provider,
    listeners: Vec<ResourceAny>,
    may_leave_resources: bool,
}

impl Drop for Instance {
    fn drop(&mut self) {
        if self.may_leave_resources || std::thread::panicking() {
            return;
        }
        for listener in self.listeners.drain(..) {
            let dropped = listener.resource_drop_async(&mut self.store).now_or_never();
            // One that the test has dropped is known no more.
            let _unknown = dropped.expect("dropping a listener waits for nothing");
        }
        assert!(self.table().is_empty(), "{:?}", self.table());
    }
}

impl Instance {
    pub async fn new() -> Self {
        let compiled = compiled();
        let ctx = Ctx::new(WasiCtx::builder(), |_| true);
        let mut store = Store::new(compiled.engine(), ctx);
        let provider = compiled.instantiate_async(&mut store).await;
        let provider = provider.expect("an instance");
        Self {
            store,
            provider,
            listeners: Vec::new(),
            may_leave_resources: false,
        }
    }

    /// For a test that ends with connections open.
    pub fn may_leave_resources(&mut self) {
        self.may_leave_resources = true;
    }

    pub fn listeners(&mut self) -> (GuestListener<'_>, &mut Store<Ctx>) {
        let guest = self.provider.evconn_tcp_listener().listener();
        (guest, &mut self.store)
    }

    pub fn options(&mut self) -> (GuestOptions<'_>, &mut Store<Ctx>) {
        let guest = self.provider.evconn_tcp_listener().options();
        (guest, &mut self.store)
    }

    pub async fn new_options(&mut self) -> ResourceAny {
        let (guest, store) = self.options();
        guest.call_constructor(store).await.expect("options")
    }

    pub async fn bind(
        &mut self,
        address: SocketAddr,
        options: Option<ResourceAny>,
    ) -> Result<ResourceAny, ErrorCode> {
        let (guest, store) = self.listeners();
        let bound = guest.call_bind(store, address.into(), options).await;
        let bound = bound.expect("no trap");
        self.listeners.extend(bound.as_ref().ok());
        bound
    }

    /// A listener on a free port, with a callback.
    pub async fn listen(&mut self, callback: u64) -> (ResourceAny, SocketAddr) {
        let listener = self
            .bind(SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0), None)
            .await
            .expect("a listener");
        self.set_callback(listener, Some(callback)).await;
        let address = self.address(listener).await;
        (listener, address)
    }

    pub async fn address(&mut self, listener: ResourceAny) -> SocketAddr {
        let (guest, store) = self.listeners();
        let addresses = guest
            .call_local_addresses(store, listener)
            .await
            .expect("no trap")
            .expect("addresses");
        assert_eq!(addresses.len(), 1);
        addresses[0].into()
    }

    pub async fn set_callback(&mut self, listener: ResourceAny, callback: Option<u64>) {
        let (guest, store) = self.listeners();
        guest
            .call_set_callback(store, listener, callback)
            .await
            .expect("no trap");
    }

    pub async fn disable(&mut self, listener: ResourceAny) {
        let (guest, store) = self.listeners();
        guest.call_disable(store, listener).await.expect("no trap");
    }

    pub async fn enable(&mut self, listener: ResourceAny) {
        let (guest, store) = self.listeners();
        guest
            .call_enable(store, listener)
            .await
            .expect("no trap")
            .expect("enabled");
    }

    pub async fn state(&mut self, listener: ResourceAny) -> State {
        let (guest, store) = self.listeners();
        guest.call_state(store, listener).await.expect("no trap")
    }

    pub async fn next_events(&mut self, listener: ResourceAny, max: u32) -> Vec<u64> {
        let (guest, store) = self.listeners();
        let events = guest.call_next_events(store, listener, max).await;
        self.callbacks(events.expect("no trap"))
    }

    pub async fn wait_events(
        &mut self,
        listener: ResourceAny,
        max: u32,
        timeout: Option<u64>,
    ) -> Vec<u64> {
        let (guest, store) = self.listeners();
        let events = guest.call_wait_events(store, listener, max, timeout);
        let events = within("events", events).await.expect("no trap");
        self.callbacks(events)
    }

    /// As `next_events`: the callback of each connection, and of each error as an `Err`.
    pub async fn next_taken(&mut self, listener: ResourceAny, max: u32) -> Vec<Result<u64, u64>> {
        let (guest, store) = self.listeners();
        let events = guest.call_next_events(store, listener, max).await;
        self.taken(events.expect("no trap"))
    }

    /// As `wait_events`: the callback of each connection, and of each error as an `Err`.
    pub async fn wait_taken(
        &mut self,
        listener: ResourceAny,
        max: u32,
        timeout: Option<u64>,
    ) -> Vec<Result<u64, u64>> {
        let (guest, store) = self.listeners();
        let events = guest.call_wait_events(store, listener, max, timeout);
        let events = within("events", events).await.expect("no trap");
        self.taken(events)
    }

    /// Closes the connections, and returns the callback of each.
    fn callbacks(&mut self, events: Vec<Event>) -> Vec<u64> {
        let taken = self.taken(events).into_iter();
        taken.map(|taken| taken.expect("no error")).collect()
    }

    fn taken(&mut self, events: Vec<Event>) -> Vec<Result<u64, u64>> {
        let table = self.table();
        let close = |event| match event {
            Event::Connection(event) => {
                let connection = event.connection;
                linked::delete_streams(table, connection.input, connection.output)
                    .expect("an input and an output");
                table.delete(connection.socket).expect("a socket");
                Ok(event.callback)
            }
            Event::Error(event) => Err(event.callback),
        };
        events.into_iter().map(close).collect()
    }

    pub async fn subscribe(&mut self, listener: ResourceAny) -> Vec<Resource<DynPollable>> {
        let (guest, store) = self.listeners();
        guest
            .call_subscribe(store, listener)
            .await
            .expect("no trap")
    }

    /// Waits until one of them is ready.
    pub async fn poll(&mut self, pollables: &[Resource<DynPollable>]) {
        let borrowed = pollables
            .iter()
            .map(|pollable| Resource::new_borrow(pollable.rep()))
            .collect();
        let table = self.table();
        linked::poll(table, borrowed).await.expect("no trap");
    }

    pub fn unsubscribe(&mut self, pollables: Vec<Resource<DynPollable>>) {
        for pollable in pollables {
            let table = self.table();
            linked::delete_pollable(table, pollable).expect("dropped");
        }
    }

    pub async fn take_apart(&mut self, listener: ResourceAny) -> Vec<Resource<TcpSocket>> {
        let (guest, store) = self.listeners();
        guest
            .call_into_sockets(store, listener)
            .await
            .expect("no trap")
    }

    pub async fn put_together(
        &mut self,
        sockets: Vec<Resource<TcpSocket>>,
    ) -> Result<ResourceAny, ErrorCode> {
        let (guest, store) = self.listeners();
        let made = guest.call_from_sockets(store, &sockets, None).await;
        let made = made.expect("no trap");
        self.listeners.extend(made.as_ref().ok());
        made
    }
}

impl Instance {
    pub fn create_socket(&mut self) -> Resource<TcpSocket> {
        let created = linked::create_socket(self.store.data_mut());
        created.expect("a socket")
    }

    pub async fn bind_socket(&mut self, socket: &Resource<TcpSocket>) {
        let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
        let bound = linked::bind_socket(self.store.data_mut(), socket, address.into()).await;
        bound.expect("bound");
    }

    fn table(&mut self) -> &mut ResourceTable {
        self.store.data_mut().ctx().table
    }
}
