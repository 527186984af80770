//! The same components on wasmtime-wasi's sockets: a host without sockets of its own.
//!
//! Everything that costs time is done as in evconn, so that only the sockets differ: the same allocation
//! of instances and engine settings, a store with limits for each connection, a permit before each
//! accept, a cancellable task, and the listener's counters after each poll. It does not log and does not
//! end connections.

use super::{ANY_PORT, announce};
use anyhow::{Context, Result};
use evconn::guests;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use wasmtime::component::{Component, Linker, Resource, ResourceAny, ResourceTable};
use wasmtime::{
    Config, Enabled, Engine, InstanceAllocationStrategy, PoolingAllocationConfig, Store,
    StoreLimits, StoreLimitsBuilder,
};
use wasmtime_wasi::p2::bindings::io::poll::{Host as _, HostPollable as _};
use wasmtime_wasi::p2::{DynInputStream, DynOutputStream, TcpSocket};
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

mod provider {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "evconn:tcp/provider",
        exports: { default: async },
        with: { "wasi": wasmtime_wasi::p2::bindings },
    });
}

mod service {
    wasmtime::component::bindgen!({
        path: "../../wit",
        world: "evconn:tcp/service",
        exports: { default: async },
        with: { "wasi": wasmtime_wasi::p2::bindings },
    });
}

use provider::exports::evconn::tcp::listener::Event;

struct Ctx {
    wasi: WasiCtx,
    table: ResourceTable,
    limits: StoreLimits,
}

impl WasiView for Ctx {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

/// Serves up to `connections` connections at a time.
pub fn serve(connections: u32) -> Result<()> {
    let mut config = Config::new();
    config.concurrency_support(false);
    let acceptors = Engine::new(&config)?;
    config.epoch_interruption(true);
    config.allocation_strategy(InstanceAllocationStrategy::Pooling(pool(connections)));
    let services = Engine::new(&config)?;
    tick(services.clone())?;
    let provider = provider::ProviderPre::new(link(&acceptors, guests::LISTENER)?)?;
    let service = service::ServicePre::new(link(&services, guests::ECHO)?)?;
    crate::runtime()?.block_on(async {
        let mut acceptor = Acceptor::bind(&provider).await?;
        announce(acceptor.address().await?)?;
        acceptor.accept(service, connections).await
    })
}

fn pool(connections: u32) -> PoolingAllocationConfig {
    let mut pool = PoolingAllocationConfig::default();
    pool.total_component_instances(connections)
        .total_core_instances(connections * 20)
        .total_memories(connections * 2)
        .total_tables(connections * 8)
        .total_stacks(connections)
        .max_memory_size(4 << 30)
        .linear_memory_keep_resident(128 << 10)
        .table_keep_resident(128 << 10)
        .pagemap_scan(Enabled::Auto);
    pool
}

/// Interrupts guests every millisecond, as evconn does.
fn tick(engine: Engine) -> Result<()> {
    std::thread::Builder::new()
        .name("clock".to_owned())
        .spawn(move || {
            loop {
                std::thread::sleep(Duration::from_millis(1));
                engine.increment_epoch();
            }
        })?;
    Ok(())
}

fn link(engine: &Engine, bytes: &[u8]) -> Result<wasmtime::component::InstancePre<Ctx>> {
    let component = Component::new(engine, bytes)?;
    let mut linker = Linker::new(engine);
    wasmtime_wasi::p2::add_to_linker_async(&mut linker)?;
    Ok(linker.instantiate_pre(&component)?)
}

struct Acceptor {
    store: Store<Ctx>,
    provider: provider::Provider,
    listener: ResourceAny,
}

impl Acceptor {
    async fn bind(pre: &provider::ProviderPre<Ctx>) -> Result<Self> {
        let ctx = Ctx {
            wasi: WasiCtx::builder().inherit_network().allow_tcp(true).build(),
            table: ResourceTable::new(),
            limits: StoreLimits::default(),
        };
        let mut store = Store::new(pre.engine(), ctx);
        let provider = pre.instantiate_async(&mut store).await?;
        let guest = provider.evconn_tcp_listener().listener();
        let address = std::net::SocketAddr::from(ANY_PORT).into();
        let listener = guest
            .call_bind(&mut store, address, None)
            .await?
            .map_err(|code| anyhow::anyhow!("cannot bind: {code:?}"))?;
        guest
            .call_set_callback(&mut store, listener, Some(0))
            .await?;
        Ok(Self {
            store,
            provider,
            listener,
        })
    }

    async fn address(&mut self) -> Result<std::net::SocketAddr> {
        let guest = self.provider.evconn_tcp_listener().listener();
        let addresses = guest
            .call_local_addresses(&mut self.store, self.listener)
            .await?
            .map_err(|code| anyhow::anyhow!("no address: {code:?}"))?;
        let first = addresses.first().context("no address")?;
        Ok((*first).into())
    }

    /// Returns only on failure.
    async fn accept(&mut self, service: service::ServicePre<Ctx>, connections: u32) -> Result<()> {
        let guest = self.provider.evconn_tcp_listener().listener();
        let permits = Arc::new(Semaphore::new(connections as usize));
        let tasks = TaskTracker::new();
        let kill = CancellationToken::new();
        loop {
            let events = guest
                .call_next_events(&mut self.store, self.listener, 64)
                .await?;
            let found = !events.is_empty();
            guest.call_stats(&mut self.store, self.listener).await?;
            for event in events {
                let Event::Connection(event) = event else {
                    anyhow::bail!("accepting failed");
                };
                let parts = Parts::take(&mut self.store.data_mut().table, event.connection)?;
                let permit = Arc::clone(&permits).acquire_owned().await?;
                let (service, kill) = (service.clone(), kill.clone());
                tasks.spawn(async move {
                    tokio::select! {
                        biased;
                        // If an echo fails, the client notices.
                        _ = parts.serve(service) => {}
                        () = kill.cancelled() => {}
                    }
                    drop(permit);
                });
            }
            if found {
                continue;
            }
            let pollables = guest.call_subscribe(&mut self.store, self.listener).await?;
            let table = &mut self.store.data_mut().table;
            let borrowed = pollables.iter().map(|p| Resource::new_borrow(p.rep()));
            table.poll(borrowed.collect()).await?;
            for pollable in pollables {
                table.drop(pollable)?;
            }
        }
    }
}

struct Parts {
    input: DynInputStream,
    output: DynOutputStream,
    socket: TcpSocket,
    peer: wasmtime_wasi::p2::bindings::sockets::network::IpSocketAddress,
}

impl Parts {
    fn take(
        table: &mut ResourceTable,
        connection: provider::evconn::tcp::connection::Connection,
    ) -> Result<Self> {
        Ok(Self {
            input: table.delete(connection.input)?,
            output: table.delete(connection.output)?,
            socket: table.delete(connection.socket)?,
            peer: connection.peer_address,
        })
    }

    async fn serve(self, service: service::ServicePre<Ctx>) -> Result<()> {
        let mut table = ResourceTable::new();
        let socket = table.push(self.socket)?;
        let connection = service::evconn::tcp::connection::Connection {
            input: table.push_child(self.input, &socket)?,
            output: table.push_child(self.output, &socket)?,
            socket,
            peer_address: self.peer,
        };
        let ctx = Ctx {
            wasi: WasiCtx::builder().build(),
            table,
            limits: StoreLimitsBuilder::new().memory_size(64 << 20).build(),
        };
        let mut store = Store::new(service.engine(), ctx);
        store.limiter(|ctx| &mut ctx.limits);
        store.set_epoch_deadline(1);
        store.epoch_deadline_async_yield_and_update(1);
        let instance = service.instantiate_async(&mut store).await?;
        instance
            .evconn_tcp_handler()
            .call_handle(&mut store, connection)
            .await?
            .map_err(anyhow::Error::msg)
    }
}
