//! What listeners and services share: two wasmtime engines, one for the long-running components
//! (listeners and programs), one for the instances that serve connections; and the worker threads that
//! serve them.
//!
//! Their users decide what is linked and instantiated in the engines.

use super::background::Background;
use super::cache::{CodeCache, CodeStore};
use super::engine::{self, Services};
use super::workers::Workers;
use crate::{Error, Limits, guests};
use std::num::NonZero;
use std::sync::Arc;
use wasmtime::Engine;
use wasmtime::component::Component;

/// What listeners and services share: compiled code, the pool of instances, and the worker threads.
///
/// A process needs one host. Cloning is cheap, and all clones are the same host.
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
    /// `listener.wasm`, compiled for the engine of the long-running components.
    listener: Component,
    services: Services,
    background: Background,
    workers: Workers,
    capacity: Limits,
}

impl Host {
    /// The address space that the pool reserves for each instance, in bytes: two memories of 4 GiB, each
    /// with its guard. The pool has to fit into the address space of the process.
    pub const ADDRESS_SPACE_PER_INSTANCE: u64 = engine::MEMORIES_OF_INSTANCE;

    /// Creates a host with the defaults of [`Host::builder`].
    ///
    /// # Errors
    /// [`Error::Engine`] if wasmtime's engines cannot be created on this machine.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// Returns a builder that configures a host.
    pub fn builder() -> HostBuilder {
        HostBuilder {
            capacity: Limits::default(),
            cache: CodeCache::default(),
            workers: None,
        }
    }

    /// Returns how many connections services can serve at a time.
    pub fn max_connections(&self) -> usize {
        self.0.capacity.max_connections
    }

    /// Returns the limits for which its engines were configured.
    pub(crate) fn capacity(&self) -> &Limits {
        &self.0.capacity
    }

    /// Checks that the host was configured for at least these limits.
    pub(crate) fn check_capacity(&self, limits: &Limits) -> Result<(), Error> {
        let capacity = self.capacity();
        if limits.max_connections > capacity.max_connections {
            return Err(Error::TooManyConnections {
                asked: limits.max_connections,
                capacity: capacity.max_connections,
            });
        }
        let of_one = [
            ("max_memory", limits.max_memory, capacity.max_memory),
            (
                "max_table_elements",
                limits.max_table_elements,
                capacity.max_table_elements,
            ),
            ("max_memories", limits.max_memories, capacity.max_memories),
            ("max_tables", limits.max_tables, capacity.max_tables),
            (
                "max_core_instances",
                limits.max_core_instances,
                capacity.max_core_instances,
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

    /// Returns how many instances of `memories` memories can exist at a time, at most
    /// [`max_connections`](Self::max_connections).
    pub(crate) fn instances(&self, memories: u32) -> usize {
        self.0
            .services
            .instances(memories)
            .min(self.max_connections())
    }

    /// Returns whether instances come from a pool, rather than being allocated on demand.
    pub(crate) fn has_pool(&self) -> bool {
        self.0.services.has_pool()
    }

    /// Returns the listener component.
    pub(crate) fn listener(&self) -> &Component {
        &self.0.listener
    }

    pub(crate) fn services(&self) -> &Engine {
        &self.0.services.engine
    }

    /// Returns the compiler of components.
    pub(crate) fn code(&self) -> &Code {
        &self.0.code
    }

    /// Returns the engine of programs. It is that of the listeners: there are few of both, and they run
    /// for long.
    pub(crate) fn programs(&self) -> &Engine {
        self.0.listener.engine()
    }

    /// Returns the workers, which serve connections.
    pub(crate) fn workers(&self) -> &Workers {
        &self.0.workers
    }

    /// Returns the runtime on which guests continue that compute a lot.
    pub(crate) fn background(&self) -> &Background {
        &self.0.background
    }
}

/// Compiles components, with a cache or without one.
pub(crate) struct Code(Option<CodeStore>);

impl Code {
    /// Compiles a binary, or loads its compiled code from the cache.
    pub fn compile(&self, engine: &Engine, binary: &[u8]) -> wasmtime::Result<Component> {
        match &self.0 {
            Some(store) => store.compile(engine, binary),
            None => Component::from_binary(engine, binary),
        }
    }
}

/// Configures a [`Host`].
#[derive(Clone, Debug)]
pub struct HostBuilder {
    capacity: Limits,
    cache: CodeCache,
    workers: Option<NonZero<usize>>,
}

impl HostBuilder {
    /// Sets the capacity that servers on this host can use. These limits count:
    /// [`max_connections`](Limits::max_connections), [`max_memory`](Limits::max_memory),
    /// [`max_table_elements`](Limits::max_table_elements), [`max_memories`](Limits::max_memories),
    /// [`max_tables`](Limits::max_tables) and [`max_core_instances`](Limits::max_core_instances).
    /// Defaults to [`Limits::default`].
    ///
    /// The host reserves address space for a pool of instances: for each connection its memories, of 4
    /// GiB each, so that guests need no bounds checks, its tables, and a stack of 1 MiB. The kernel
    /// provides no memory for any of it until it is touched. It counts mappings, though: a connection
    /// takes six, and more if it has several memories. With Linux's default settings, about 10,000
    /// connections fit.
    ///
    /// If the pool cannot be reserved, a warning is logged and instances are allocated on demand, with
    /// bounds checks. This is slower, and code from [`Host::precompile`] on a host with a pool cannot be
    /// loaded.
    pub fn limits(mut self, limits: &Limits) -> Self {
        self.capacity = *limits;
        self
    }

    /// Sets [`max_connections`](Limits::max_connections) of [`limits`](Self::limits) alone: the maximum
    /// number of service instances at a time. Defaults to 1,000.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.capacity.max_connections = count;
        self
    }

    /// Sets where compiled code is cached between processes. Defaults to [`CodeCache::Off`].
    ///
    /// If the cache cannot be used, that is logged, and each process compiles.
    pub fn cache(mut self, cache: CodeCache) -> Self {
        self.cache = cache;
        self
    }

    /// Sets the number of worker threads, which serve connections. Each connection stays with one worker:
    /// the one with the fewest connections when it was accepted. Defaults to one for each core that this
    /// process may use.
    ///
    /// Listeners and native callbacks run on the runtime in which they were created.
    pub fn workers(mut self, count: NonZero<usize>) -> Self {
        self.workers = Some(count);
        self
    }

    /// Creates the engines, compiles the listener and reserves the pool.
    ///
    /// # Errors
    /// [`Error::Engine`] if wasmtime's engines cannot be created on this machine.
    pub fn build(self) -> Result<Host, Error> {
        let cache = self.cache.open();
        let code = Code(cache);
        let inner = || {
            let services = Services::new(&self.capacity)?;
            Ok(Inner {
                listener: code.compile(&services.acceptors()?, guests::LISTENER)?,
                code,
                services,
                background: Background::new()?,
                workers: Workers::start(self.workers)?,
                capacity: self.capacity,
            })
        };
        let inner = inner().map_err(|error: wasmtime::Error| Error::Engine(error.into()))?;
        Ok(Host(Arc::new(inner)))
    }
}
