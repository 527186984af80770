//! What listeners and services share: two wasmtime engines, one for what runs for long (listeners, programs),
//! and one for the instances that serve connections; and the threads that serve them.
//!
//! Where it ends: what is linked and instantiated in the engines is decided by those who do so.

use super::background::Background;
use super::cache::{CodeCache, CodeStore};
use super::engine::{self, Services};
use super::workers::Workers;
use crate::{Error, Limits, guests};
use std::num::NonZero;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::Component;

/// Everything that listeners and services share: compiled code, room for instances, and the threads that
/// serve connections.
///
/// One is enough for a program. It is cheap to clone; the clones are one host.
///
/// ```
/// let host = evconn::Host::new()?;
/// let service = evconn::Service::new(&host, evconn::guests::ECHO)?;
/// # Ok::<(), evconn::Error>(())
/// ```
#[derive(Clone)]
pub struct Host(Arc<Inner>);

struct Inner {
    code: Code,
    /// `listener.wasm`, compiled for the engine of what runs for long.
    listener: Component,
    services: Services,
    background: Background,
    workers: Workers,
    room: Limits,
}

impl Host {
    /// The address space that a pool reserves for each instance, in bytes: two memories of 4 GiB, each with
    /// its guard. A pool for many connections has to fit into the address space of the process.
    pub const ADDRESS_SPACE_PER_INSTANCE: u64 = engine::MEMORIES_OF_INSTANCE;

    /// A host with the defaults of [`Host::builder`].
    ///
    /// # Errors
    /// [`Error::Engine`] if no engine can be had on this machine.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// To say how a host is to be made.
    pub fn builder() -> HostBuilder {
        HostBuilder {
            room: Limits::default(),
            cache: CodeCache::default(),
            workers: None,
        }
    }

    /// How many connections services can serve at a time.
    pub fn max_connections(&self) -> usize {
        self.0.room.max_connections
    }

    /// What its instances may take.
    pub(crate) fn room(&self) -> &Limits {
        &self.0.room
    }

    /// Check that it has the room for these limits.
    pub(crate) fn check_room(&self, limits: &Limits) -> Result<(), Error> {
        let room = self.room();
        if limits.max_connections > room.max_connections {
            return Err(Error::TooManyConnections {
                asked: limits.max_connections,
                capacity: room.max_connections,
            });
        }
        let of_one = [
            ("max_memory", limits.max_memory, room.max_memory),
            (
                "max_table_elements",
                limits.max_table_elements,
                room.max_table_elements,
            ),
            ("max_memories", limits.max_memories, room.max_memories),
            ("max_tables", limits.max_tables, room.max_tables),
            (
                "max_core_instances",
                limits.max_core_instances,
                room.max_core_instances,
            ),
        ];
        match of_one
            .into_iter()
            .find(|(_, asked, capacity)| asked > capacity)
        {
            None => Ok(()),
            Some((limit, asked, capacity)) => Err(Error::LimitTooHigh {
                limit,
                asked,
                capacity,
            }),
        }
    }

    /// How many instances with so many memories there is room for at a time, at most
    /// [`max_connections`](Self::max_connections).
    pub(crate) fn instances(&self, memories: u32) -> usize {
        self.0
            .services
            .instances(memories)
            .min(self.max_connections())
    }

    /// Whether instances come from a pool, rather than be made one by one.
    pub(crate) fn has_pool(&self) -> bool {
        self.0.services.has_pool()
    }

    /// The component that accepts.
    pub(crate) fn listener(&self) -> &Component {
        &self.0.listener
    }

    pub(crate) fn services(&self) -> &Engine {
        &self.0.services.engine
    }

    /// What components are compiled by.
    pub(crate) fn code(&self) -> &Code {
        &self.0.code
    }

    /// Programs run where acceptors do: a few of them, each for long.
    pub(crate) fn programs(&self) -> &Engine {
        self.0.listener.engine()
    }

    /// The threads that serve connections.
    pub(crate) fn workers(&self) -> &Workers {
        &self.0.workers
    }

    /// Where guests go on that compute a lot.
    pub(crate) fn background(&self) -> &Background {
        &self.0.background
    }
}

/// Compiles components, with a cache or without one.
pub(crate) struct Code(Option<CodeStore>);

impl Code {
    /// Compile this binary, unless that was done before, and kept.
    pub fn compile(&self, engine: &Engine, binary: &[u8]) -> wasmtime::Result<Component> {
        match &self.0 {
            Some(store) => store.compile(engine, binary),
            None => Component::from_binary(engine, binary),
        }
    }
}

/// How a [`Host`] is to be made.
#[derive(Clone, Debug)]
pub struct HostBuilder {
    room: Limits,
    cache: CodeCache,
    workers: Option<NonZero<usize>>,
}

impl HostBuilder {
    /// The most that servers on this host are going to allow, in those of the limits that take room:
    /// [`max_connections`](Limits::max_connections), [`max_memory`](Limits::max_memory),
    /// [`max_table_elements`](Limits::max_table_elements), [`max_memories`](Limits::max_memories),
    /// [`max_tables`](Limits::max_tables) and [`max_core_instances`](Limits::max_core_instances). Default:
    /// [`Limits::default`].
    ///
    /// Room is address space, reserved for a pool of instances: for each connection its memories, of 4 GiB
    /// each, so that guests need not check their bounds, its tables, and a stack of 1 MiB. The kernel
    /// gives memory for none of it until it is touched; but it counts mappings, of which a connection
    /// takes six, and more if it has several memories. On Linux
    /// with its usual settings there is room for about 10,000 connections.
    ///
    /// Where there is less, instances are made one by one, and check the bounds of their memory: that
    /// is logged. It is slower, and code from [`Host::precompile`] on a host with a pool does not fit.
    pub fn limits(mut self, limits: &Limits) -> Self {
        self.room = *limits;
        self
    }

    /// The first of [`limits`](Self::limits) alone: how many instances of services there is to be room
    /// for at a time. Default: 1,000.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.room.max_connections = count;
        self
    }

    /// Where compiled code is kept between one process and the next. Default: [`CodeCache::Off`].
    ///
    /// If it cannot be had, that is logged, and each process compiles.
    pub fn cache(mut self, cache: CodeCache) -> Self {
        self.cache = cache;
        self
    }

    /// How many threads serve connections. Each connection stays with one of them, the one that had the
    /// fewest when it came. Default: one for each core that this process may use.
    ///
    /// Listeners, and callbacks of your own, run on the runtime in which they were made.
    pub fn workers(mut self, count: NonZero<usize>) -> Self {
        self.workers = Some(count);
        self
    }

    /// Compile the listener and make room for the instances.
    ///
    /// # Errors
    /// [`Error::Engine`] if no engine can be had on this machine.
    pub fn build(self) -> Result<Host, Error> {
        let cache = self.cache.open();
        let code = Code(cache);
        let inner = || {
            let services = Services::new(&self.room)?;
            Ok(Inner {
                listener: code.compile(&services.acceptors()?, guests::LISTENER)?,
                code,
                services,
                background: Background::new()?,
                workers: Workers::start(self.workers)?,
                room: self.room,
            })
        };
        let inner = inner().map_err(|error: wasmtime::Error| Error::Engine(error.into()))?;
        Ok(Host(Arc::new(inner)))
    }
}
