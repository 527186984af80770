//! A component that serves connections: compiled once, instantiated for each connection or used again.
//!
//! Where it ends: where it comes from is [`loading`](crate::loading)'s; which connections, and how many
//! at a time, is the [`server`](crate::server)'s.

mod allowance;
mod console;
mod failure;
mod fair;
mod instance;
mod instances;
mod meter;
mod state;

pub(crate) use allowance::Allowance;
use console::Origin;
pub(crate) use console::flush as flush_printed;
pub(crate) use failure::{Failure, is_for_handles};
pub(crate) use fair::{Background, run};
pub(crate) use instances::Instances;
pub use instances::Reuse;
pub(crate) use meter::Meter;

use crate::bindings::service::ServicePre;
use crate::{Edge, Grants, Host};
pub(crate) use state::ConnectionState;
use wasmtime::component::InstancePre;

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
    /// A component that is linked and checked. It is granted nothing but its connections.
    pub(crate) fn from_component(
        host: &Host,
        pre: InstancePre<ConnectionState>,
    ) -> wasmtime::Result<Self> {
        Ok(Self {
            host: host.clone(),
            pre: ServicePre::new(pre)?,
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
