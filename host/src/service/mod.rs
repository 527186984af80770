//! A component that serves connections: compiled once, instantiated for each connection or used again.
//!
//! Where it ends: which connections, and how many at a time, is the [`server`](crate::server)'s.

mod allowance;
mod console;
mod failure;
mod fair;
mod instance;
mod instances;
mod meter;
mod state;

use console::Origin;
pub(crate) use failure::Failure;
pub(crate) use fair::{Background, run};
pub(crate) use instances::Instances;
pub use instances::Reuse;
pub(crate) use meter::Meter;

use crate::bindings::service::ServicePre;
use crate::{Edge, Error, Grants, Host, sockets};
use state::ConnectionState;
use wasmtime::component::{Component, Linker};

/// A compiled component that exports `evconn:tcp/handler`, ready to be instantiated.
///
/// Cheap to clone; the clones are one service.
#[derive(Clone)]
pub struct Service {
    host: Host,
    pre: ServicePre<ConnectionState>,
    edge: Edge,
    grants: Grants,
}

impl Service {
    /// Compile a component.
    ///
    /// It is granted its one connection, clocks and random numbers, and nothing else: no network,
    /// no files, no environment, no arguments, and what it prints goes to the log.
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
            grants: Grants::none(),
        })
    }

    /// Take each connection through this before an instance gets it. Default: nothing.
    pub fn with_edge(mut self, edge: Edge) -> Self {
        self.edge = edge;
        self
    }

    /// What its instances get besides their connections. Default: [`Grants::none`].
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    pub(crate) fn edge(&self) -> &Edge {
        &self.edge
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
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
    sockets::add_names_to_linker(&mut linker)?;
    ServicePre::new(linker.instantiate_pre(&component)?)
}
