//! The settings of the wasmtime engines and the capacity for instances.
//!
//! The instances of services come from a pool, which reserves address space for the maximum number of
//! instances. If there is not enough of it, instances are allocated on demand.
//!
//! Components of WASI 0.2 and of WASI 0.3 have an engine each, with a pool of its own. Two large pools do not fit into
//! an address space: the second one is reserved when a service needs it.

use super::clock::Clock;
use crate::Limits;
use crate::interfaces::WasiVersion;
use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};
use std::time::Duration;
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

/// The time slice of a guest that computes: after it, other guests run. Found by measuring what 100 echo
/// connections notice of 100 guests that compute: with 10 ms, they wait 10 to 100 times as long. The thread that
/// counts the slices takes less than a hundredth of a core.
pub(crate) const SLICE: Duration = Duration::from_millis(1);

/// The most memories in a pool, unless there are more than half as many connections.
///
/// At 4 GiB and a guard each, they take 79 TiB, of the 128 TiB that a process has on most machines, and of
/// the 85 that Linux leaves in one piece.
const MEMORIES: u32 = 20_000;

/// The address space reserved for each memory, in front of wasmtime's guard of 32 MiB: all that 32 bits
/// can address, so that compiled code needs no bounds checks.
const MEMORY: usize = 4 << 30;

/// The guard behind each memory: wasmtime's default.
const MEMORY_GUARD: usize = 32 << 20;

/// The least address space that the pool reserves for each instance: two memories.
pub(crate) const MEMORIES_OF_INSTANCE: u64 = 2 * (MEMORY + MEMORY_GUARD) as u64;

/// How much of an instance's memory stays resident for the next instance in its slot, rather than being
/// returned to the kernel. A value close to what a small guest touches pays; anything beyond it costs.
const KEPT_RESIDENT: usize = 128 << 10;

/// The size of the stack that a guest and the host functions that it calls share, without its guard page.
/// wasmtime's default is twice as much, of which a guest gets at most 512 KiB, as here. With this size
/// two stacks share a page of the kernel's page tables, rather than take one each.
const STACK: usize = (1 << 20) - (4 << 10);

/// The size of an element of a table, in bytes.
const TABLE_ELEMENT: usize = size_of::<*const ()>();

/// How far a memory that was allocated on demand can grow before it has to be moved.
const GROWTH: u64 = 1 << 20;

/// The guard behind a memory that was allocated on demand. Bounds are checked, except for small offsets.
const GUARD: u64 = 64 << 10;

/// The most frames that are captured of a trapped guest's stack.
const FRAMES: Option<NonZeroUsize> = NonZeroUsize::new(20);

/// The engines for the instances of services, one for each version of WASI.
pub(crate) struct Engines {
    capacity: Limits,
    has_pool: bool,
    /// The version whose engine is made first.
    first: WasiVersion,
    v0_2: OnceLock<Arc<Services>>,
    v0_3: OnceLock<Arc<Services>>,
    /// Held while one is made: each reserves a lot.
    making: Mutex<()>,
}

impl Engines {
    /// Creates the engine of the `first` version, with a pool for `capacity.max_connections` instances within the
    /// limits `capacity`, or without one.
    pub fn new(first: WasiVersion, capacity: Limits, has_pool: bool) -> wasmtime::Result<Self> {
        let engines = Self {
            capacity,
            has_pool,
            first,
            v0_2: OnceLock::new(),
            v0_3: OnceLock::new(),
            making: Mutex::new(()),
        };
        engines.get(first)?;
        Ok(engines)
    }

    /// Returns the engine of a version. Creates it if it does not exist.
    pub fn get(&self, version: WasiVersion) -> wasmtime::Result<&Arc<Services>> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        let engine = match version {
            WasiVersion::V0_2 => &self.v0_2,
            WasiVersion::V0_3 => &self.v0_3,
        };
        if let Some(made) = engine.get() {
            return Ok(made);
        }
        let made = Services::new(version, &self.capacity, self.has_pool)?;
        Ok(engine.get_or_init(|| Arc::new(made)))
    }

    pub fn first_version(&self) -> WasiVersion {
        self.first
    }

    /// Returns the engine that was made first.
    pub fn first(&self) -> wasmtime::Result<&Arc<Services>> {
        self.get(self.first)
    }
}

/// The engine for the instances of services of one version of WASI.
pub(crate) struct Services {
    pub engine: Engine,
    pub clock: Clock,
    /// The number of memories in the pool. None: there is no pool.
    pooled_memories: Option<u32>,
}

impl Services {
    fn new(version: WasiVersion, capacity: &Limits, has_pool: bool) -> wasmtime::Result<Self> {
        let mut config = base_config();
        config.concurrency_support(version == WasiVersion::V0_3);
        config.epoch_interruption(true);
        let (engine, pooled_memories) = match has_pool {
            true => Self::pooled(version, config, capacity)?,
            false => (Engine::new(on_demand(&mut config))?, None),
        };
        let clock = Clock::start(engine.weak(), SLICE)?;
        Ok(Self {
            engine,
            clock,
            pooled_memories,
        })
    }

    /// Creates an engine with a pool, or without one if there is not enough address space.
    fn pooled(
        version: WasiVersion,
        mut config: Config,
        capacity: &Limits,
    ) -> wasmtime::Result<(Engine, Option<u32>)> {
        config.memory_guard_size(MEMORY_GUARD as u64);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(version, capacity)));
        Ok(match Engine::new(&config) {
            Ok(engine) => (engine, Some(pooled_memories(capacity))),
            Err(error) => {
                let engine = Engine::new(on_demand(&mut config))?;
                tracing::warn!(
                    "cannot reserve address space for a pool of {} instances ({}): they are allocated on demand, \
                     with bounds checks, which is slower",
                    capacity.max_connections,
                    error.root_cause()
                );
                (engine, None)
            }
        })
    }

    /// Returns whether the instances come from a pool.
    pub fn has_pool(&self) -> bool {
        self.pooled_memories.is_some()
    }

    /// Returns how many instances of `memories` memories can exist at a time.
    pub fn instances(&self, memories: u32) -> usize {
        match self.pooled_memories {
            Some(pooled) => (pooled / memories_taken(memories)) as usize,
            None => usize::MAX,
        }
    }

    /// Creates the engine for listeners and programs of WASI 0.2. There are few of them, so they are allocated on demand.
    pub fn acceptors(&self) -> wasmtime::Result<Engine> {
        self.long_running(WasiVersion::V0_2)
    }

    /// Creates the engine for programs of WASI 0.3, likewise.
    pub fn async_programs(&self) -> wasmtime::Result<Engine> {
        self.long_running(WasiVersion::V0_3)
    }

    fn long_running(&self, version: WasiVersion) -> wasmtime::Result<Engine> {
        let mut config = base_config();
        config.concurrency_support(version == WasiVersion::V0_3);
        if !self.has_pool() {
            on_demand(&mut config);
        }
        Engine::new(&config)
    }
}

fn base_config() -> Config {
    let mut config = Config::new();
    // Only WASI 0.3 uses it, and calls are cheaper without it.
    config.concurrency_support(false);
    config.async_stack_size(STACK);
    config.wasm_backtrace_max_frames(FRAMES);
    // Overrides the environment variable: a guest's debug information is read elsewhere, and with care.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// Configures the pool. All of a table is accessible, but the kernel provides no memory for it until it
/// is touched.
fn pool(version: WasiVersion, capacity: &Limits) -> PoolingAllocationConfig {
    let count = saturated(capacity.max_connections);
    let core_instances = saturated(capacity.max_core_instances);
    let memories = saturated(capacity.max_memories);
    let tables = saturated(capacity.max_tables);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count)
        .total_stacks(count.saturating_mul(stacks(version)))
        .max_core_instances_per_component(core_instances)
        .total_core_instances(count.saturating_mul(core_instances))
        .max_memories_per_component(memories)
        .max_memories_per_module(memories)
        .total_memories(pooled_memories(capacity))
        .total_gc_heaps(count)
        .max_memory_size(MEMORY)
        .linear_memory_keep_resident(KEPT_RESIDENT)
        .max_tables_per_component(tables)
        .max_tables_per_module(tables)
        .total_tables(count.saturating_mul(tables))
        .table_elements(capacity.max_table_elements)
        .table_keep_resident(KEPT_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Returns how many stacks an instance has at a time, unless it consists of several components that wait in functions of
/// WASI 0.2. In WASI 0.3, one is kept for what comes next while a function of WASI 0.2 waits on another.
fn stacks(version: WasiVersion) -> u32 {
    match version {
        WasiVersion::V0_2 => 1,
        WasiVersion::V0_3 => 2,
    }
}

/// A larger number is out of reach anyway.
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// Returns the number of memories in the pool: as many as all connections may have together, if possible,
/// and at least two for each.
fn pooled_memories(capacity: &Limits) -> u32 {
    let count = saturated(capacity.max_connections);
    let wanted = count.saturating_mul(memories_taken(saturated(capacity.max_memories)));
    wanted.min(MEMORIES.max(count.saturating_mul(memories_taken(1))))
}

/// Returns how many instances of `memories` memories the pool has space for.
pub(crate) fn pooled_instances(capacity: &Limits, memories: usize) -> usize {
    (pooled_memories(capacity) / memories_taken(saturated(memories))) as usize
}

/// Returns how much writable memory the pool reserves, in bytes.
pub(crate) fn writable_reservation(version: WasiVersion, capacity: &Limits) -> u64 {
    /// The size of a page on most machines. On one with larger pages, a little less is left for compiling.
    const PAGE: usize = 4 << 10;
    let table = capacity.max_table_elements.saturating_mul(TABLE_ELEMENT);
    let pages = table.div_ceil(PAGE).saturating_mul(PAGE);
    let of_instance = capacity.max_tables.saturating_mul(pages);
    let stacks = (STACK + PAGE) * stacks(version) as usize;
    let of_instance = of_instance.saturating_add(stacks);
    capacity.max_connections.saturating_mul(of_instance) as u64
}

/// Returns how many of the pool's memories an instance with `own` memories takes. A garbage-collected
/// language's objects are in one more.
fn memories_taken(own: u32) -> u32 {
    own.saturating_add(1)
}

/// Configures on-demand allocation. It reserves hardly more than an instance uses, since address space is
/// scarce where it applies.
fn on_demand(config: &mut Config) -> &mut Config {
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_reservation_for_growth(GROWTH)
        .memory_guard_size(GUARD)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pooled(max_connections: usize, max_memories: usize) -> u32 {
        pooled_memories(&Limits {
            max_connections,
            max_memories,
            ..Limits::default()
        })
    }

    #[test]
    fn there_are_as_many_memories_as_connections_may_have_or_as_there_can_be() {
        assert_eq!(pooled(1_000, 1), 2_000);
        assert_eq!(pooled(1_000, 9), 10_000);
        assert_eq!(pooled(10_000, 9), 20_000);
        assert_eq!(pooled(15_000, 9), 30_000);
        assert_eq!(pooled(usize::MAX, usize::MAX), u32::MAX);
    }
}
