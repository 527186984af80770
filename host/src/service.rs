//! A component that serves connections, each in an instance and a store of its own.
//!
//! Where it ends: which connections, and how many at a time, is [`serve`](crate::serve)'s.

use crate::bindings::service::evconn::tcp::connection::Connection as WitConnection;
use crate::bindings::service::{Service as Instance, ServicePre};
use crate::connection::Parts;
use crate::input::FittedInput;
use crate::limits::Limits;
use crate::{Error, Host, sockets};
use wasmtime::component::{Component, Linker, Resource, ResourceTable};
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
        })
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }

    /// Serve one connection, in a fresh instance. The connection is closed when this is done, or
    /// given up.
    pub(crate) async fn handle(&self, parts: Parts, limits: &Limits) -> Result<(), Failure> {
        let Parts {
            input,
            output,
            socket,
            peer_addr,
            // Dropped after the store, as it was bound before it.
            on_release: _on_release,
        } = parts;
        let mut store = Store::new(self.host.services(), ConnectionState::new(limits));
        store.limiter(|state| &mut state.limits);
        // A guest that computes is interrupted at the end of each slice, and others get their turn.
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);

        let table = &mut store.data_mut().table;
        let socket = table.push(socket)?;
        let input: DynInputStream = Box::new(FittedInput::new(input));
        let input = table.push_child(input, &socket)?;
        let output = table.push_child(output, &socket)?;
        let output_index = output.rep();

        let instance: Instance = self.pre.instantiate_async(&mut store).await?;
        let connection = WitConnection {
            input,
            output,
            socket,
            peer_address: peer_addr.into(),
        };
        let result = instance
            .evconn_tcp_handler()
            .call_handle(&mut store, connection)
            .await?;
        send_the_rest(store.data_mut(), output_index).await;
        result.map_err(Failure::Handler)
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

impl From<wasmtime::component::ResourceTableError> for Failure {
    fn from(error: wasmtime::component::ResourceTableError) -> Self {
        Self::Trap(error.into())
    }
}

/// What the store of one connection holds.
struct ConnectionState {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

impl ConnectionState {
    fn new(limits: &Limits) -> Self {
        Self {
            wasi: sockets::grant_nothing(),
            table: ResourceTable::new(),
            limits: StoreLimitsBuilder::new()
                .memory_size(limits.max_memory)
                .build(),
        }
    }
}

impl WasiView for ConnectionState {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
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
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    ServicePre::new(linker.instantiate_pre(&component)?)
}

/// A guest that returned without dropping its output stream may have left bytes in it, which would
/// go with the store.
async fn send_the_rest(state: &mut ConnectionState, output_index: u32) {
    let output = Resource::<DynOutputStream>::new_own(output_index);
    // If it is not there, the guest has dropped it, and that has waited for the bytes.
    if let Ok(output) = state.table.get_mut(&output) {
        // An error is the peer's: it has gone, and gets nothing.
        let _ = output.write_ready().await;
    }
}
