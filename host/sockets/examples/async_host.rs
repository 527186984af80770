//! The same as `host`, for programs of WASI 0.3. What they use of WASI 0.2 they get, too: a standard library may have been
//! built for it.
//!
//!     cargo run -p evconn-sockets --example async_host -- program.wasm [ARGUMENT]...

use evconn_sockets::{Policy, TcpCtx, TcpCtxView, TcpView, p2, p3};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::p3::bindings::Command;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

struct State {
    wasi: WasiCtx,
    tcp: TcpCtx,
    table: ResourceTable,
}

impl WasiView for State {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView {
            ctx: &mut self.wasi,
            table: &mut self.table,
        }
    }
}

impl TcpView for State {
    fn tcp(&mut self) -> TcpCtxView<'_> {
        TcpCtxView {
            ctx: &mut self.tcp,
            table: &mut self.table,
            incoming: None,
        }
    }
}

#[tokio::main]
async fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let Some(path) = args.first() else {
        wasmtime::bail!("no component given: async_host program.wasm [ARGUMENT]...");
    };
    let mut config = Config::new();
    config.wasm_component_model_async(true);
    let engine = Engine::new(&config)?;
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    p2::add_to_linker(&mut linker)?;
    p3::add_to_linker(&mut linker)?;
    let state = State {
        wasi: WasiCtx::builder().inherit_stdio().args(&args).build(),
        tcp: TcpCtx::new(Policy::new(|address, _| address.ip().is_loopback())),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(&engine, state);
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    let run = store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await);
    let ended = run.await.and_then(|ended| ended);
    if !matches!(ended, Ok(Ok(()))) {
        // Its peers are to know that something may be missing.
        store.data_mut().tcp().reset_all();
    }
    ended?.map_err(|()| wasmtime::format_err!("the program failed"))
}
