//! What listeners and services share: wasmtime engines, one for the long-running components (listeners and programs),
//! and one for each version of WASI for the instances that serve connections; and the worker threads that serve them.
//!
//! Their users decide what is linked and instantiated in the engines.

use super::background::{Background, CpuShare};
use super::cache::{CodeCache, CodeStore};
use super::descriptors;
use super::engine::{self, Engines, Services};
use super::mapping::map;
use super::shortage::Shortage;
use super::workers::Workers;
use crate::interfaces::WasiVersion;
use crate::sockets::SharedDescriptors;
use crate::{Error, Limits, guests, open_file};
use std::fs::File;
use std::num::NonZero;
use std::sync::{Arc, OnceLock};
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
    engines: Engines,
    /// The engine of programs of WASI 0.3, if there is one.
    async_programs: OnceLock<Engine>,
    background: Arc<Background>,
    workers: Workers,
    descriptors: SharedDescriptors,
    shortage: Shortage,
    capacity: Limits,
    /// How many instances there may be for these connections, if they are fewer.
    max_instances: Option<usize>,
    /// How many instances are made ahead, besides.
    warm: usize,
    /// Whether instances come from a pool.
    has_pool: bool,
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
            listener_code: None,
            cpu_share: CpuShare::default(),
            has_pool: true,
            max_instances: None,
            warm: 0,
            wasi: WasiVersion::default(),
        }
    }

    /// Returns the limits that it was built with: its capacity, and the default of its servers.
    pub fn limits(&self) -> &Limits {
        &self.0.capacity
    }

    /// Returns how many connections services can serve at a time.
    pub fn max_connections(&self) -> usize {
        self.0.capacity.max_connections
    }

    /// Checks that the host was configured for at least these limits.
    pub(crate) fn check_capacity(&self, limits: &Limits) -> Result<(), Error> {
        let capacity = self.limits();
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

    /// Returns the compiled code of the listener component, for [`HostBuilder::listener_code`].
    ///
    /// # Errors
    /// [`Error::Engine`] if there is no memory for it.
    pub fn listener_code(&self) -> Result<Vec<u8>, Error> {
        let code = self.0.listener.serialize();
        code.map_err(|error| Error::Engine(error.into()))
    }

    /// Returns how many instances of `memories` memories an engine can have at a time, at most
    /// [`max_instances`](HostBuilder::max_instances).
    pub(crate) fn instances(&self, engine: &Services, memories: u32) -> usize {
        let most = self.0.max_instances.unwrap_or(usize::MAX);
        let pooled = engine.instances(memories);
        of_connections(pooled, self.0.warm)
            .min(self.max_connections())
            .min(most)
    }

    /// Returns whether instances come from a pool, rather than being allocated on demand: those of services of the
    /// [version](HostBuilder::wasi) for which the host was built. See [`HostBuilder::pooled`].
    pub fn has_pool(&self) -> bool {
        self.0.has_pool
    }

    /// Returns the listener component.
    pub(crate) fn listener(&self) -> &Component {
        &self.0.listener
    }

    /// Returns the version of WASI for which it was built.
    pub(crate) fn wasi(&self) -> WasiVersion {
        self.0.engines.first_version()
    }

    /// Returns the engine for services of a version of WASI. Creates it if this is the first one.
    pub(crate) fn services(&self, version: WasiVersion) -> wasmtime::Result<&Arc<Services>> {
        self.0.engines.get(version)
    }

    /// Returns the descriptors that the guests of this process share.
    pub(crate) fn descriptors(&self) -> &SharedDescriptors {
        &self.0.descriptors
    }

    /// Returns the compiler of components.
    pub(crate) fn code(&self) -> &Code {
        &self.0.code
    }

    /// Returns the engine of programs of a version of WASI. That of 0.2 is that of the listeners: there are few of both,
    /// and they run for long. That of 0.3 is created when it is asked for.
    pub(crate) fn programs(&self, version: WasiVersion) -> wasmtime::Result<&Engine> {
        match version {
            WasiVersion::V0_2 => Ok(self.0.listener.engine()),
            WasiVersion::V0_3 => self.async_programs(),
        }
    }

    fn async_programs(&self) -> wasmtime::Result<&Engine> {
        if let Some(engine) = self.0.async_programs.get() {
            return Ok(engine);
        }
        let made = self.0.engines.first()?.async_programs()?;
        Ok(self.0.async_programs.get_or_init(|| made))
    }

    /// Returns what instances wait for that cannot be made.
    pub(crate) fn shortage(&self) -> &Shortage {
        &self.0.shortage
    }

    /// Returns the workers, which serve connections.
    pub(crate) fn workers(&self) -> &Workers {
        &self.0.workers
    }

    /// Returns where guests continue that use more than others.
    pub(crate) fn background(&self) -> &Arc<Background> {
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
    listener_code: Option<Arc<File>>,
    cpu_share: CpuShare,
    has_pool: bool,
    max_instances: Option<usize>,
    warm: usize,
    wasi: WasiVersion,
}

impl HostBuilder {
    /// Sets the limits of the servers on this host, unless [`ServerBuilder::limits`](crate::ServerBuilder::limits)
    /// sets others. A server's must not exceed these, since the host reserves what they need:
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
    /// number of connections of a server, and of service instances at a time. Defaults to 1,000.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.capacity.max_connections = count;
        self
    }

    /// Sets the maximum number of service instances at a time, if the connections share so many: see
    /// [`InstancePolicy::max_instances`](crate::InstancePolicy::max_instances). The host then reserves no more than
    /// these require. Defaults to one for each connection.
    pub fn max_instances(mut self, count: NonZero<usize>) -> Self {
        self.max_instances = Some(count.get());
        self
    }

    /// Sets how many instances are made ahead of the connections that they are for, beside those of
    /// [`max_connections`](Self::max_connections): see [`InstancePolicy::warm`](crate::InstancePolicy::warm). Defaults
    /// to 0.
    pub fn warm(mut self, count: usize) -> Self {
        self.warm = count;
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

    /// Sets the share of each core that connections get which have used a lot of CPU time, while others need the
    /// whole core. Defaults to 5 percent. It has an effect on Linux only.
    ///
    /// Each connection has an account, which is charged with the time for which its guest, and the host for its
    /// sake, really run, as far as that exceeds a hundredth of a core; half of it is forgotten after each second. A
    /// connection whose account exceeds 3 ms, and four times that of the lightest one that ran lately, continues in
    /// the background: on threads with a lower priority, which run the lightest first. It comes back when it is light
    /// again. A new connection starts with what its peer has used, unless other peers have used as much.
    pub fn cpu_share(mut self, share: CpuShare) -> Self {
        self.cpu_share = share;
        self
    }

    /// Sets whether the instances of services come from a pool. Defaults to true; if there is not enough address
    /// space for the pool, instances are allocated on demand nevertheless.
    ///
    /// Code that was compiled for a host with a pool requires a host with one, of any size, and vice versa:
    /// [`Host::has_pool`] says which it was.
    pub fn pooled(mut self, pooled: bool) -> Self {
        self.has_pool = pooled;
        self
    }

    /// Sets the version of WASI of the services for which the pool of instances is reserved when the host is built.
    /// Defaults to 0.2.
    ///
    /// A service of the other version gets a pool of its own when the first one is loaded. Where two of them do not fit
    /// into the address space, as with 10,000 connections, a warning is logged and its instances are allocated on
    /// demand, with bounds checks.
    pub fn wasi(mut self, version: WasiVersion) -> Self {
        self.wasi = version;
        self
    }

    /// Sets a file with the listener component's compiled code, from [`Host::listener_code`] of another host.
    /// It is mapped, rather than compiled or read from the cache: processes that map the same file, such as a
    /// memfd, share one copy of it in memory.
    ///
    /// Code from a host with a pool of instances requires a host with a pool (see [`pooled`](Self::pooled)).
    ///
    /// # Safety
    /// As [`Service::from_mapped`](crate::Service::from_mapped).
    #[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
    pub unsafe fn listener_code(mut self, code: File) -> Self {
        self.listener_code = Some(Arc::new(code));
        self
    }

    /// Returns how many instances of `memories` memories the pool of such a host has space for, at most its
    /// [`max_connections`](Self::max_connections) or its [`max_instances`](Self::max_instances): what
    /// [`Service::max_instances`](crate::Service::max_instances) returns once the host is built.
    pub fn max_instances_with(&self, memories: usize) -> usize {
        let pooled = engine::pooled_instances(&self.instances(), memories);
        of_connections(pooled, self.warm).min(self.for_connections())
    }

    /// Returns how much private writable memory the pool of such a host reserves, in bytes: the tables and the stacks of
    /// instances. The kernel provides none of it until it is used, but counts it against a limit of private memory
    /// (RLIMIT_DATA).
    pub fn writable_reservation(&self) -> u64 {
        match self.has_pool {
            true => engine::writable_reservation(self.wasi, &self.instances()),
            false => 0,
        }
    }

    /// Creates the engines, compiles the listener and reserves the pool.
    ///
    /// # Errors
    /// [`Error::Engine`] if wasmtime's engines cannot be created on this machine, or if the
    /// [`listener_code`](Self::listener_code) was compiled by another version, or for another processor or
    /// other settings than this host's.
    pub fn build(self) -> Result<Host, Error> {
        // Before there are more threads.
        descriptors::reserve_descriptors();
        let cache = self.cache.open();
        let code = Code(cache);
        let inner = || {
            let engines = Engines::new(self.wasi, self.instances(), self.has_pool)?;
            let workers = Workers::start(self.workers)?;
            let acceptors = engines.first()?.acceptors()?;
            let has_pool = engines.first()?.has_pool();
            Ok(Inner {
                listener: match &self.listener_code {
                    Some(file) => mapped_listener(&acceptors, file)?,
                    None => code.compile(&acceptors, guests::LISTENER)?,
                },
                code,
                engines,
                async_programs: OnceLock::new(),
                background: Arc::new(Background::new(workers.count(), self.cpu_share)?),
                workers,
                descriptors: descriptors::shared(self.capacity.max_connections),
                shortage: Shortage::new(self.instances().max_connections),
                capacity: self.capacity,
                max_instances: self.max_instances,
                warm: self.warm,
                has_pool,
            })
        };
        let inner = inner().map_err(|error: wasmtime::Error| Error::Engine(error.into()))?;
        Ok(Host(Arc::new(inner)))
    }
}

impl HostBuilder {
    /// Returns how many instances there may be that have connections.
    fn for_connections(&self) -> usize {
        let most = self.max_instances.unwrap_or(usize::MAX);
        self.capacity.max_connections.min(most)
    }

    /// Returns the limits of the pool, which has the instances for connections and those that are made ahead. If
    /// connections share instances, it has as many again: those of a service that was replaced last as long as their
    /// connections, and the new ones must not wait for them.
    fn instances(&self) -> Limits {
        let replaced = match self.max_instances {
            Some(most) => most.min(self.capacity.max_connections - self.for_connections()),
            None => 0,
        };
        let all = self.for_connections().saturating_add(replaced);
        Limits {
            max_connections: all.saturating_add(self.warm),
            ..self.capacity
        }
    }
}

/// Returns how many of these instances are for connections.
fn of_connections(instances: usize, warm: usize) -> usize {
    // If there are too few for all, the connections come first.
    instances.saturating_sub(warm).max(instances.min(1))
}

#[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
fn mapped_listener(engine: &Engine, code: &File) -> wasmtime::Result<Component> {
    // SAFETY: the caller of `HostBuilder::listener_code` has guaranteed that this is unmodified code from
    // wasmtime, and remains so.
    let mapped = unsafe { map(engine, code) }.transpose();
    let component = mapped.unwrap_or_else(|| {
        let bytes = open_file::read(code)?;
        // SAFETY: likewise.
        unsafe { Component::deserialize(engine, bytes) }
    });
    component.map_err(|error| error.context("the file for `listener_code` cannot be used"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_builder_knows_what_its_host_has_memories_for() {
        let limits = Limits {
            max_connections: 10,
            max_memories: 1,
            ..Limits::default()
        };
        let builder = Host::builder().limits(&limits);
        let host = builder.clone().build().expect("a host");
        let capacities = [(0, 10), (1, 10), (3, 5), (9, 2), (19, 1), (20, 0)];
        for (memories, capacity) in capacities {
            assert_eq!(builder.max_instances_with(memories), capacity);
            let engine = host.services(WasiVersion::V0_2).expect("an engine");
            assert_eq!(host.instances(engine, memories as u32), capacity);
        }
        let many = Host::builder().max_connections(15_000);
        assert_eq!(many.max_instances_with(1), 15_000);
        assert_eq!(many.max_instances_with(9), 3_000);
        let shared = many.max_instances(NonZero::<usize>::MIN);
        assert_eq!(shared.max_instances_with(9), 1);
        assert_eq!(shared.instances().max_connections, 2);
    }
}
