//! Services: components that serve connections. A service is compiled once, and instantiated for each
//! connection or reused.
//!
//! A [`server`](crate::server) decides which connections are served, and how many at a time.

mod console;
mod failure;
mod grants;
mod instance;
mod instances;
mod loading;
mod random;
mod state;

use console::Origin;
pub(crate) use failure::{Failure, is_for_handles};
pub use grants::{DirAccess, GrantError, Grants, GrantsBuilder, InvalidListenGrant, ListenGrant};
pub(crate) use instances::Instances;
pub use instances::Reuse;
pub(crate) use loading::{UNNAMED, command, component, map_command, read};

use crate::bindings::service::ServicePre;
use crate::trap::SourceLines;
use crate::{Error, Host, Ingress};
pub(crate) use state::ConnectionState;
use wasmtime::component::{Component, InstancePre};

/// A compiled component that exports `evconn:tcp/handler`, ready to be instantiated.
///
/// Cloning is cheap, and all clones are the same service.
#[derive(Clone)]
pub struct Service {
    host: Host,
    pre: ServicePre<ConnectionState>,
    ingress: Ingress,
    grants: Grants,
    /// How many memories an instance has.
    memories: u32,
    lines: SourceLines,
}

impl Service {
    /// Wraps a component that is linked and checked. It is granted nothing but its connections.
    pub(crate) fn from_component(
        host: &Host,
        pre: InstancePre<ConnectionState>,
    ) -> wasmtime::Result<Self> {
        // None: it imports core modules, which this host does not provide.
        let resources = pre.component().resources_required();
        Ok(Self {
            host: host.clone(),
            memories: resources.map_or(0, |resources| resources.num_memories),
            pre: ServicePre::new(pre)?,
            ingress: Ingress::new(),
            grants: Grants::none(),
            lines: SourceLines::default(),
        })
    }

    /// Adds the source lines, which are shown with its traps.
    pub(crate) fn with_lines(mut self, lines: SourceLines) -> Self {
        self.lines = lines;
        self
    }

    /// Sets the ingress that each connection goes through before an instance gets it. Defaults to an
    /// empty one.
    pub fn with_ingress(mut self, ingress: Ingress) -> Self {
        self.ingress = ingress;
        self
    }

    /// Sets what the instances are granted besides their connections. Defaults to [`Grants::none`].
    pub fn with_grants(mut self, grants: Grants) -> Self {
        self.grants = grants;
        self
    }

    /// Returns how many memories an instance has: a simple component has one, and each component composed
    /// with it adds its own.
    pub fn memories(&self) -> usize {
        self.memories as usize
    }

    /// Returns how many connections the service can serve at a time: as many as the host was configured
    /// for, or fewer if an instance has several memories (see
    /// [`Limits::max_memories`](crate::Limits::max_memories)).
    pub fn max_connections(&self) -> usize {
        self.host.instances(self.memories)
    }

    /// Checks that this many instances can exist at a time.
    pub(crate) fn check_capacity(&self, asked: usize) -> Result<(), Error> {
        let capacity = self.max_connections();
        match asked > capacity {
            true => Err(Error::TooManyMemories {
                asked,
                capacity,
                memories: self.memories(),
            }),
            false => Ok(()),
        }
    }

    fn component(&self) -> &Component {
        self.pre.instance_pre().component()
    }

    pub(crate) fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }
}
