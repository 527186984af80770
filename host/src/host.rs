//! The wasmtime engines: one for acceptors, one for the instances that serve connections.
//!
//! Where it ends: what is instantiated in them is the [`acceptor`](crate::acceptor)'s and the
//! [`Service`](crate::Service)'s.

use crate::Error;
use crate::acceptor::AcceptorPre;
use crate::limits::Limits;
use crate::service::Background;
use std::sync::Arc;
use std::time::Duration;
use wasmtime::{
    Config, Enabled, Engine, EngineWeak, InstanceAllocationStrategy, PoolingAllocationConfig,
};

/// How long a guest computes before others get their turn.
pub(crate) const SLICE: Duration = Duration::from_millis(10);

/// What is kept of an instance's memory for the next one in its slot, rather than given back to
/// the kernel. It pays to be close to what a small guest touches, and costs beyond it.
const KEPT_RESIDENT: usize = 128 << 10;

/// Everything that listeners and services share: compiled code and room for instances.
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
    acceptor: AcceptorPre,
    services: Engine,
    background: Background,
    max_connections: usize,
}

impl Host {
    /// A host with the defaults of [`Host::builder`].
    ///
    /// # Errors
    /// [`Error::Engine`] if there is no room for the instances.
    pub fn new() -> Result<Self, Error> {
        Self::builder().build()
    }

    /// To say how a host is to be made.
    pub fn builder() -> HostBuilder {
        HostBuilder {
            max_connections: Limits::default().max_connections,
        }
    }

    /// How many connections services can serve at a time.
    pub fn max_connections(&self) -> usize {
        self.0.max_connections
    }

    pub(crate) fn acceptor(&self) -> &AcceptorPre {
        &self.0.acceptor
    }

    pub(crate) fn services(&self) -> &Engine {
        &self.0.services
    }

    /// Where guests go on that compute a lot.
    pub(crate) fn background(&self) -> &Background {
        &self.0.background
    }
}

/// How a [`Host`] is to be made.
#[derive(Clone, Debug)]
pub struct HostBuilder {
    max_connections: usize,
}

impl HostBuilder {
    /// How many instances of services there is to be room for at a time. Default: 1,000.
    ///
    /// Room is address space (8 GiB for each); memory is used when an instance touches it.
    pub fn max_connections(mut self, count: usize) -> Self {
        self.max_connections = count;
        self
    }

    /// Compile the listener and make room for the instances.
    ///
    /// # Errors
    /// [`Error::Engine`] if there is no room for the instances.
    pub fn build(self) -> Result<Host, Error> {
        let acceptors = Engine::new(&base_config()).map_err(|e| Error::Engine(e.into()))?;
        let services = self.service_engine().map_err(|e| Error::Engine(e.into()))?;
        let acceptor = AcceptorPre::new(&acceptors).map_err(|e| Error::Engine(e.into()))?;
        start_clock(services.weak()).map_err(|e| Error::Engine(e.into()))?;
        Ok(Host(Arc::new(Inner {
            acceptor,
            services,
            background: Background::new().map_err(|e| Error::Engine(e.into()))?,
            max_connections: self.max_connections,
        })))
    }

    fn service_engine(&self) -> wasmtime::Result<Engine> {
        let mut config = base_config();
        config.epoch_interruption(true);
        config.allocation_strategy(InstanceAllocationStrategy::Pooling(self.pool()?));
        Engine::new(&config)
    }

    /// Room for each connection's instance: a component of up to two memories and a few tables,
    /// made of up to twenty core instances, as the language tool chains produce them.
    fn pool(&self) -> wasmtime::Result<PoolingAllocationConfig> {
        let count = u32::try_from(self.max_connections)
            .map_err(|_| wasmtime::format_err!("{} connections", self.max_connections))?;
        let mut pool = PoolingAllocationConfig::default();
        pool.total_component_instances(count)
            .total_core_instances(count.saturating_mul(20))
            .total_memories(count.saturating_mul(2))
            .total_tables(count.saturating_mul(4))
            .total_stacks(count)
            .max_memory_size(4 << 30)
            .linear_memory_keep_resident(KEPT_RESIDENT)
            .table_keep_resident(KEPT_RESIDENT)
            .pagemap_scan(Enabled::Auto);
        Ok(pool)
    }
}

fn base_config() -> Config {
    let mut config = Config::new();
    // WASI 0.2 has no use for it, and each call is cheaper without.
    config.concurrency_support(false);
    config
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
