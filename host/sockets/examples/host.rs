//! A wasmtime host whose guests may use TCP on loopback addresses, and nowhere else.
//!
//!     cargo run -p evconn-sockets --example host -- program.wasm [ARGUMENT]...

use evconn_sockets::{Policy, TcpCtx, TcpCtxView, TcpView, p2};
use wasmtime::component::{Component, Linker, ResourceTable};
use wasmtime::{Engine, Result, Store};
use wasmtime_wasi::p2::bindings::Command;
use wasmtime_wasi::{I32Exit, WasiCtx, WasiCtxView, WasiView};

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
        wasmtime::bail!("no component given: host program.wasm [ARGUMENT]...");
    };
    let engine = Engine::default();
    let component = Component::from_file(&engine, path)?;
    let mut linker = Linker::new(&engine);
    p2::add_to_linker(&mut linker)?;
    let state = State {
        wasi: WasiCtx::builder().inherit_stdio().args(&args).build(),
        tcp: TcpCtx::new(Policy::new(|address, _| address.ip().is_loopback())),
        table: ResourceTable::new(),
    };
    let mut store = Store::new(&engine, state);
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    match command.wasi_cli_run().call_run(&mut store).await {
        Ok(ended) => ended.map_err(|()| wasmtime::format_err!("the program failed")),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => std::process::exit(*status),
            None => Err(error),
        },
    }
}
