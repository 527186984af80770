//! Services: components that serve connections. A service is compiled once, and instantiated for each
//! connection or reused.
//!
//! A [`server`](crate::server) decides which connections are served, and how many at a time.

mod ahead;
mod async_handler;
mod backoff;
mod console;
mod entry;
mod failure;
mod grants;
mod imports;
mod instance;
mod instances;
mod loading;
mod policy;
mod population;
mod program;
mod random;
mod shared;
mod state;
mod warm;

pub(crate) use async_handler::Rest;
use console::Origin;
use entry::Entry;
pub(crate) use failure::{Failure, is_for_handles};
pub use grants::{DirAccess, GrantError, Grants, GrantsBuilder, InvalidListenGrant, ListenGrant};
use imports::MakeState;
pub(crate) use instances::Instances;
pub use loading::ServiceBuilder;
pub(crate) use loading::{Command, UNNAMED, command, component, map_command, read};
pub use policy::InstancePolicy;
pub(crate) use shared::InstanceTasks;

use crate::error::{LoadError, LoadProblem, one_line};
use crate::interfaces::EntryPoint;
use crate::runtime::{Services, Ticking};
use crate::sockets::Endpoint;
use crate::trap::SourceLines;
use crate::{Error, Host, Ingress, WasiVersion};
pub use state::InstanceState;
use std::sync::Arc;
use wasmtime::component::{Component, InstancePre};

/// A compiled component that serves connections, ready to be instantiated: one that exports `evconn:tcp/handler`, in
/// version 0.1.0 for WASI 0.2 or 0.3.0 for WASI 0.3, or a program, which exports `wasi:cli/run` of either version and
/// listens by itself.
///
/// A program runs unchanged, once for each connection. Its sockets are virtual: whatever address it listens on, it
/// accepts that one connection. Once it has closed it, and waits for nothing but another one, its instance ends. If
/// it imports `evconn:tcp/listener`, it is composed with the listener first ([`Composer`](crate::Composer)).
///
/// Cloning is cheap, and all clones are the same service.
#[derive(Clone)]
pub struct Service {
    host: Host,
    wasi: WasiVersion,
    /// The engine of this version.
    engine: Arc<Services>,
    entry: Entry,
    ingress: Ingress,
    grants: Grants,
    /// How many memories an instance has.
    memories: u32,
    /// Makes the embedder's state of an instance.
    make_state: MakeState,
    lines: SourceLines,
    /// The component that was compiled, if it was composed.
    composition: Option<Arc<[u8]>>,
}

impl Service {
    /// Wraps a component that is linked and checked. It is granted nothing but its connections.
    pub(crate) fn from_component(
        host: &Host,
        wasi: WasiVersion,
        pre: InstancePre<InstanceState>,
        entry_point: EntryPoint,
    ) -> wasmtime::Result<Self> {
        // None: it imports core modules, which this host does not provide.
        let resources = pre.component().resources_required();
        Ok(Self {
            host: host.clone(),
            wasi,
            engine: Arc::clone(host.services(wasi)?),
            memories: resources.map_or(0, |resources| resources.num_memories),
            entry: Entry::new(entry_point, pre)?,
            ingress: Ingress::new(),
            grants: Grants::none(),
            make_state: MakeState::default(),
            lines: SourceLines::default(),
            composition: None,
        })
    }

    /// Sets what makes the embedder's state of an instance.
    fn with_make_state(mut self, make_state: MakeState) -> Self {
        self.make_state = make_state;
        self
    }

    /// Adds the source lines, which are shown with its traps.
    pub(crate) fn with_lines(mut self, lines: SourceLines) -> Self {
        self.lines = lines;
        self
    }

    /// Adds the component that was compiled, if that was composed.
    pub(crate) fn with_composition(mut self, composition: Option<Vec<u8>>) -> Self {
        self.composition = composition.map(Arc::from);
        self
    }

    /// Sets which of a component's entry points is called for a connection. Defaults to the handler if there is one.
    ///
    /// # Errors
    /// [`Error::Load`] if the component does not have this entry point.
    pub fn with_entry_point(mut self, entry_point: EntryPoint) -> Result<Self, Error> {
        let problem = match loading::exports(self.component()) {
            exports if loading::entry_points(&exports).contains(&entry_point) => {
                match Entry::new(entry_point, self.entry.pre().clone()) {
                    Ok(entry) => {
                        self.entry = entry;
                        return Ok(self);
                    }
                    Err(error) => LoadProblem::Unlinkable(one_line(&error)),
                }
            }
            exports => LoadProblem::NoEntryPoint {
                entry_point,
                exports,
            },
        };
        Err(LoadError::of_bytes(problem).into())
    }

    /// Returns the entry points that the component has: one or both.
    pub fn entry_points(&self) -> Vec<EntryPoint> {
        loading::entry_points(&loading::exports(self.component()))
    }

    /// Returns the entry point that is called for a connection.
    pub fn entry_point(&self) -> EntryPoint {
        match self.entry {
            Entry::Handler(_) | Entry::AsyncHandler(_) => EntryPoint::Handler,
            Entry::Run(_) | Entry::AsyncRun(_) => EntryPoint::Run,
        }
    }

    /// Returns the version of WASI that the component was built for: 0.3 if it has asynchronous functions, streams or
    /// futures in its interfaces.
    pub fn wasi(&self) -> WasiVersion {
        self.wasi
    }

    /// Keeps the clock of the time slices going, for a connection that is served.
    fn ticking(&self) -> Ticking {
        self.engine.clock.ticking()
    }

    /// Returns whether it is a program that has not accepted this connection.
    pub(crate) fn is_waited_for(&self, endpoint: &Endpoint) -> bool {
        self.is_program() && !endpoint.was_accepted_by_guest()
    }

    /// Returns whether an instance can have several connections at a time: it is a program, or a handler of WASI 0.3.
    pub fn is_concurrent(&self) -> bool {
        self.is_program() || self.has_tasks()
    }

    /// Returns whether its handler is of WASI 0.3: each connection is a task, of which an instance may have several.
    pub(crate) fn has_tasks(&self) -> bool {
        matches!(self.entry, Entry::AsyncHandler(_))
    }

    fn is_program(&self) -> bool {
        self.entry_point() == EntryPoint::Run
    }

    /// Returns the component that was compiled, if it was composed with [filters](crate::ServiceBuilder::through) or the
    /// listener for that. `None` if it was loaded as it is, or from compiled code.
    pub fn composition(&self) -> Option<&[u8]> {
        self.composition.as_deref()
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

    /// Returns how many instances of the service can exist at a time: as many as the host was configured
    /// for, or fewer if an instance has several memories (see
    /// [`Limits::max_memories`](crate::Limits::max_memories)).
    pub fn max_instances(&self) -> usize {
        self.host.instances(&self.engine, self.memories)
    }

    /// Checks that this many instances can exist at a time.
    pub(crate) fn check_capacity(&self, asked: usize) -> Result<(), Error> {
        let capacity = self.max_instances();
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
        self.entry.pre().component()
    }

    pub(crate) fn ingress(&self) -> &Ingress {
        &self.ingress
    }

    pub(crate) fn host(&self) -> &Host {
        &self.host
    }
}
