//! The settings of the wasmtime engines, and the room for instances.
//!
//! The instances of services come from a pool, which reserves address space for as many as there may be
//! at a time. Where that much is not to be had, they are made one by one.

use crate::Limits;
use std::num::NonZeroUsize;
use std::time::Duration;
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
    WasmBacktraceDetails,
};

/// The time slice of a guest that computes: after it, other guests run. Found by measuring what 100 echo
/// connections notice of 100 guests that compute: with 10 ms, they wait 10 to 100 times as long. The thread that
/// counts the slices takes less than a hundredth of a core.
pub(crate) const SLICE: Duration = Duration::from_millis(1);

/// Maximum number of memories in a pool, unless there are more connections than half of that.
///
/// At 4 GiB and a guard each, they take 79 TiB, of the 128 TiB that a process has on most machines, and of
/// the 85 that Linux leaves in one piece.
const MEMORIES: u32 = 20_000;

/// What is reserved for each memory, with wasmtime's guard of 32 MiB behind it: as much as 32 bits
/// can address, so that compiled code needs no checks of bounds.
const MEMORY: usize = 4 << 30;

/// The guard behind each of them, which is wasmtime's default.
const MEMORY_GUARD: usize = 32 << 20;

/// The address space that the pool has for each instance at least: for two memories.
pub(crate) const MEMORIES_OF_INSTANCE: u64 = 2 * (MEMORY + MEMORY_GUARD) as u64;

/// What is kept of an instance's memory for the next one in its slot, rather than given back to
/// the kernel. It pays to be close to what a small guest touches, and costs beyond it.
const KEPT_RESIDENT: usize = 128 << 10;

/// What is reserved for the stack of each guest and of the host's functions that it calls, with a guard
/// page: wasmtime's default is twice as much, of which 512 KiB are a guest's at most, as here. So two
/// stacks share a page of the kernel's tables, rather than each take one of its own.
const STACK: usize = (1 << 20) - (4 << 10);

/// By how much a memory that was made by itself can grow before it has to be moved.
const GROWTH: u64 = 1 << 20;

/// What is kept free behind such a memory. Bounds are checked, but not for small offsets.
const GUARD: u64 = 64 << 10;

/// The most frames of a guest's stack that are captured when it traps.
const FRAMES: Option<NonZeroUsize> = NonZeroUsize::new(20);

/// The engine in which services are instantiated.
pub(crate) struct Services {
    pub engine: Engine,
    /// How many memories there are in the pool that its instances come from. None: there is no pool.
    pooled_memories: Option<u32>,
}

impl Services {
    /// With room for as many instances as `room` says, each as large as it says.
    pub fn new(room: &Limits) -> wasmtime::Result<Self> {
        let mut config = base_config();
        config.epoch_interruption(true);
        config.memory_guard_size(MEMORY_GUARD as u64);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(room)));
        let (engine, pooled_memories) = match Engine::new(&config) {
            Ok(engine) => (engine, Some(pooled_memories(room))),
            Err(error) => {
                let engine = Engine::new(on_demand(&mut config))?;
                tracing::warn!(
                    "there is no room for a pool of {} instances ({}): they are made one by one, and \
                     check the bounds of their memory, which is slower",
                    room.max_connections,
                    error.root_cause()
                );
                (engine, None)
            }
        };
        start_clock(engine.weak())?;
        Ok(Self {
            engine,
            pooled_memories,
        })
    }

    /// Whether its instances come from a pool.
    pub fn has_pool(&self) -> bool {
        self.pooled_memories.is_some()
    }

    /// How many instances with so many memories there is room for at a time.
    pub fn instances(&self, memories: u32) -> usize {
        match self.pooled_memories {
            Some(pooled) => (pooled / memories_taken(memories)) as usize,
            None => usize::MAX,
        }
    }

    /// The engine in which listeners are instantiated, a few of them: where there is little room, they
    /// are to take little, too.
    pub fn acceptors(&self) -> wasmtime::Result<Engine> {
        let mut config = base_config();
        if !self.has_pool() {
            on_demand(&mut config);
        }
        Engine::new(&config)
    }
}

fn base_config() -> Config {
    let mut config = Config::new();
    // WASI 0.2 has no use for it, and each call is cheaper without.
    config.concurrency_support(false);
    config.async_stack_size(STACK);
    config.wasm_backtrace_max_frames(FRAMES);
    // Whatever the environment says: a guest's debug information is read elsewhere, and with care.
    config.wasm_backtrace_details(WasmBacktraceDetails::Disable);
    config
}

/// Room for each connection's instance. Of tables, all of it is accessible, but the kernel gives memory
/// for none of it before it is touched.
fn pool(room: &Limits) -> PoolingAllocationConfig {
    let count = saturated(room.max_connections);
    let core_instances = saturated(room.max_core_instances);
    let memories = saturated(room.max_memories);
    let tables = saturated(room.max_tables);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count)
        .total_stacks(count)
        .max_core_instances_per_component(core_instances)
        .total_core_instances(count.saturating_mul(core_instances))
        .max_memories_per_component(memories)
        .max_memories_per_module(memories)
        .total_memories(pooled_memories(room))
        .total_gc_heaps(count)
        .max_memory_size(MEMORY)
        .linear_memory_keep_resident(KEPT_RESIDENT)
        .max_tables_per_component(tables)
        .max_tables_per_module(tables)
        .total_tables(count.saturating_mul(tables))
        .table_elements(room.max_table_elements)
        .table_keep_resident(KEPT_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// More than that are too many anyway.
fn saturated(count: usize) -> u32 {
    u32::try_from(count).unwrap_or(u32::MAX)
}

/// How many memories the pool has: enough for each connection to have as many as it may, or else as many
/// as there can be, but at least two for each.
fn pooled_memories(room: &Limits) -> u32 {
    let count = saturated(room.max_connections);
    let wanted = count.saturating_mul(memories_taken(saturated(room.max_memories)));
    wanted.min(MEMORIES.max(count.saturating_mul(memories_taken(1))))
}

/// How many memories of the pool an instance with so many of its own takes: the objects of a guest whose
/// language is garbage-collected are in another one.
fn memories_taken(own: u32) -> u32 {
    own.saturating_add(1)
}

/// Instances that are made one by one reserve hardly more than they use: it is where there is little
/// room that they are.
fn on_demand(config: &mut Config) -> &mut Config {
    config
        .allocation_strategy(InstanceAllocationStrategy::OnDemand)
        .memory_reservation(0)
        .memory_reservation_for_growth(GROWTH)
        .memory_guard_size(GUARD)
}

/// Count the slices, for as long as the engine lives.
///
/// A thread of its own: guests that spin may have all of the runtime's.
fn start_clock(engine: EngineWeak) -> std::io::Result<()> {
    std::thread::Builder::new()
        .name("evconn-clock".to_owned())
        .spawn(move || {
            while let Some(engine) = engine.upgrade() {
                engine.increment_epoch();
                drop(engine);
                std::thread::sleep(SLICE);
            }
        })?;
    Ok(())
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
