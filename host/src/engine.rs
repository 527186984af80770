//! The settings of the wasmtime engines, and the room for instances.
//!
//! The instances of services come from a pool, which reserves address space for as many as there may be
//! at a time. Where that much is not to be had, they are made one by one.

use crate::Limits;
use std::time::Duration;
use wasmtime::{
    Cache, Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// How long a guest computes before others get their turn.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// The most memories and tables that a component may have. A simple one has one memory and two
/// tables, and each component that is composed with it adds as many.
pub(crate) const MEMORIES: u32 = 2;
pub(crate) const TABLES: u32 = 8;

/// What is reserved for each memory, with wasmtime's guard of 32 MiB behind it: as much as 32 bits
/// can address, so that compiled code needs no checks of bounds.
///
/// 10,000 connections take 78.7 TiB so, of the 128 TiB that a process has on most machines, and of the 79
/// that it has in one piece (see [`machine`](crate::machine)).
const MEMORY: usize = 4 << 30;

/// The guard behind each of them, which is wasmtime's default.
const MEMORY_GUARD: usize = 32 << 20;

/// The address space that the memories of one instance take of the pool.
pub(crate) const MEMORIES_OF_INSTANCE: u64 = MEMORIES as u64 * (MEMORY + MEMORY_GUARD) as u64;

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

/// The engine in which services are instantiated.
pub(crate) struct Services {
    pub engine: Engine,
    /// Whether its instances come from a pool.
    pub has_pool: bool,
}

impl Services {
    /// With room for as many instances as `room` says, each as large as it says.
    pub fn new(room: &Limits, cache: Option<&Cache>) -> wasmtime::Result<Self> {
        let mut config = base_config(cache);
        config.epoch_interruption(true);
        config.memory_guard_size(MEMORY_GUARD as u64);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(room)));
        let (engine, has_pool) = match Engine::new(&config) {
            Ok(engine) => (engine, true),
            Err(error) => {
                let engine = Engine::new(on_demand(&mut config))?;
                tracing::warn!(
                    "there is no room for a pool of {} instances ({}): they are made one by one, and \
                     check the bounds of their memory, which is slower",
                    room.max_connections,
                    error.root_cause()
                );
                (engine, false)
            }
        };
        start_clock(engine.weak())?;
        Ok(Self { engine, has_pool })
    }

    /// The engine in which listeners are instantiated, a few of them: where there is little room, they
    /// are to take little, too.
    pub fn acceptors(&self, cache: Option<&Cache>) -> wasmtime::Result<Engine> {
        let mut config = base_config(cache);
        if !self.has_pool {
            on_demand(&mut config);
        }
        Engine::new(&config)
    }
}

fn base_config(cache: Option<&Cache>) -> Config {
    let mut config = Config::new();
    // WASI 0.2 has no use for it, and each call is cheaper without.
    config.concurrency_support(false);
    config.async_stack_size(STACK);
    config.cache(cache.cloned());
    config
}

/// Room for each connection's instance. Of tables, all of it is accessible, but the kernel gives memory
/// for none of it before it is touched.
fn pool(room: &Limits) -> PoolingAllocationConfig {
    // More than that are too many anyway.
    let saturated = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
    let count = saturated(room.max_connections);
    let core_instances = saturated(room.max_core_instances);
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(count)
        .total_stacks(count)
        .max_core_instances_per_component(core_instances)
        .total_core_instances(count.saturating_mul(core_instances))
        .max_memories_per_component(MEMORIES)
        .max_memories_per_module(MEMORIES)
        .total_memories(count.saturating_mul(MEMORIES))
        .max_memory_size(MEMORY)
        .linear_memory_keep_resident(KEPT_RESIDENT)
        .max_tables_per_component(TABLES)
        .max_tables_per_module(TABLES)
        .total_tables(count.saturating_mul(TABLES))
        .table_elements(room.max_table_elements)
        .table_keep_resident(KEPT_RESIDENT)
        .pagemap_scan(Enabled::Auto);
    pool
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
