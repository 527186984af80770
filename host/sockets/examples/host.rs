//! A wasmtime host whose guests may use TCP on loopback addresses, and nowhere else.
//!
//!     cargo run -p evconn-sockets --example host -- program.wasm [ARGUMENT]...

mod frame;

use evconn_sockets::p2;
use frame::State;
use wasmtime::component::{Component, Linker};
use wasmtime::{Engine, Result, Store};
use wasmtime_wasi::I32Exit;
use wasmtime_wasi::p2::bindings::Command;

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
    let mut store = Store::new(&engine, State::new(&args));
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    match command.wasi_cli_run().call_run(&mut store).await {
        Ok(ended) => ended.map_err(|()| wasmtime::format_err!("the program failed")),
        Err(error) => match error.downcast_ref::<I32Exit>() {
            Some(I32Exit(status)) => std::process::exit(*status),
            None => Err(error),
        },
    }
}
