//! A component that serves connections, each in an instance and a store of its own.
//!
//! Where it ends: which connections, and how many at a time, is [`serve`](crate::serve)'s.

use crate::bindings::service::evconn::tcp::connection::Connection as WitConnection;
use crate::bindings::service::{Service as Instance, ServicePre};
use crate::connection::Parts;
use crate::limits::Limits;
use crate::sockets::{Endpoint, Input, Output, Policy, TcpCtx, TcpCtxView, TcpSocket, TcpView};
use crate::{Edge, Error, Host, sockets};
use std::sync::Arc;
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Store, StoreLimits, StoreLimitsBuilder};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// A compiled component that exports `evconn:tcp/handler`, ready to be instantiated.
///
/// Cheap to clone; the clones are one service.
#[derive(Clone)]
pub struct Service {
    host: Host,
    pre: ServicePre<ConnectionState>,
    edge: Edge,
    tcp: TcpCtx,
}

impl Service {
    /// Compile a component.
    ///
    /// It is granted its one connection, clocks and random numbers, and nothing else: no network,
    /// no files, no environment, no arguments, and what it prints goes nowhere.
    ///
    /// # Errors
    /// [`Error::NotAService`] if the bytes are not a component, if it does not export
    /// `evconn:tcp/handler@0.1.0`, or if it imports what is not WASI 0.2.
    pub fn new(host: &Host, component: &[u8]) -> Result<Self, Error> {
        check_is_component(component).map_err(Error::NotAService)?;
        let pre = prepare(host, component).map_err(|error| Error::NotAService(error.into()))?;
        Ok(Self {
            host: host.clone(),
            pre,
            edge: Edge::new(),
            tcp: TcpCtx::new(Policy::deny_all()),
        })
    }

    /// Take each connection through this before an instance gets it. Default: nothing.
    pub fn with_edge(mut self, edge: Edge) -> Self {
        self.edge = edge;
        self
    }

    /// What the service may do with sockets of its own, besides its connection. Default:
    /// [`Policy::deny_all`]. Its instances share the policy, and what it counts.
    ///
    /// Addresses are all that it can be granted: it has no name look-up.
    pub fn with_policy(mut self, policy: Policy) -> Self {
        self.tcp = TcpCtx::new(policy);
        self
    }

    pub(crate) fn edge(&self) -> &Edge {
        &self.edge
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Serve one connection, in a fresh instance. The connection is closed when this is done: in a
    /// regular way, or by a reset if the instance failed or this was given up.
    pub(crate) async fn handle(&self, parts: Parts, limits: &Limits) -> Result<(), Failure> {
        // What waits for a free descriptor is told last.
        let Parts {
            endpoint,
            on_release: _on_release,
        } = parts;
        let result = self.run(&endpoint, limits).await?;
        // The instance is gone. Its last bytes may still be on their way.
        let unsent = ResetOnDrop(&endpoint);
        endpoint.is_sent().await;
        unsent.disarm();
        result.map_err(Failure::Handler)
    }

    /// What the handler returns.
    async fn run(
        &self,
        endpoint: &Arc<Endpoint>,
        limits: &Limits,
    ) -> wasmtime::Result<Result<(), String>> {
        let mut store = Store::new(
            self.host.services(),
            ConnectionState::new(limits, self.tcp.clone()),
        );
        store.limiter(|state| &mut state.limits);
        // A guest that computes is interrupted at the end of each slice, and others get their turn.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        // Dropped before the store: the end of the streams in there would be a regular one.
        let unfinished = ResetOnDrop(endpoint);

        let connection = store.data_mut().connection(endpoint)?;
        let instance: Instance = self.pre.instantiate_async(&mut store).await?;
        let result = instance
            .evconn_tcp_handler()
            .call_handle(&mut store, connection)
            .await?;
        unfinished.disarm();
        Ok(result)
    }
}

/// Resets a connection whose instance trapped, or was given up: it owns nothing else.
struct ResetOnDrop<'a>(&'a Endpoint);

impl ResetOnDrop<'_> {
    fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.reset();
    }
}

/// Why a connection ended before its service was done with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The handler returned an error. It is the guest's text: escaped, so that it is one line.
    #[error("the service gave up: {0:?}")]
    Handler(String),
    /// A trap, or no instance could be made. Where in the guest it happened is left out here: that
    /// takes many lines.
    #[error("{}", .0.root_cause())]
    Trap(#[from] wasmtime::Error),
}

/// Room for the resources of a simple service: its connection, and a few pollables or errors.
const RESOURCES: usize = 8;

/// What the store of one connection holds.
struct ConnectionState {
    /// Without files, environment, arguments, input or output. Made when it is first asked for, which
    /// many services never do: it comes with a random number generator of its own.
    wasi: Option<Box<WasiCtx>>,
    tcp: TcpCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

impl ConnectionState {
    fn new(limits: &Limits, tcp: TcpCtx) -> Self {
        Self {
            wasi: None,
            tcp,
            table: ResourceTable::with_capacity(RESOURCES),
            limits: StoreLimitsBuilder::new()
                .memory_size(limits.max_memory)
                .build(),
        }
    }

    /// Put a connection into the table.
    fn connection(&mut self, endpoint: &Arc<Endpoint>) -> wasmtime::Result<WitConnection> {
        let socket = TcpSocket::from_endpoint(&self.tcp, Arc::clone(endpoint));
        let input: DynInputStream = Box::new(Input::new(Arc::clone(endpoint)));
        let output: DynOutputStream = Box::new(Output::new(Arc::clone(endpoint)));
        let socket = self.table.push(socket)?;
        Ok(WitConnection {
            input: self.table.push_child(input, &socket)?,
            output: self.table.push_child(output, &socket)?,
            socket,
            peer_address: endpoint.peer_address().into(),
        })
    }
}

impl TcpView for ConnectionState {
    fn tcp(&mut self) -> TcpCtxView<'_> {
        TcpCtxView {
            ctx: &mut self.tcp,
            table: &mut self.table,
        }
    }
}

impl WasiView for ConnectionState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: self
                .wasi
                .get_or_insert_with(|| Box::new(WasiCtx::builder().build())),
            table: &mut self.table,
        }
    }
}

/// Tell apart what people mistake for a component, in fewer words than the parser would.
fn check_is_component(bytes: &[u8]) -> anyhow::Result<()> {
    const LAYER: usize = 6;
    anyhow::ensure!(
        bytes.starts_with(b"\0asm"),
        "it is not a WebAssembly binary"
    );
    anyhow::ensure!(
        bytes.get(LAYER) == Some(&1),
        "it is a core module: build it for wasm32-wasip2, or make a component of it with \
         `wasm-tools component new`"
    );
    Ok(())
}

fn prepare(host: &Host, component: &[u8]) -> wasmtime::Result<ServicePre<ConnectionState>> {
    let component = Component::new(host.services(), component)?;
    let mut linker = Linker::new(host.services());
    sockets::add_to_linker(&mut linker)?;
    ServicePre::new(linker.instantiate_pre(&component)?)
}
