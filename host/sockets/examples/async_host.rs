//! The same as `host`, for programs of WASI 0.3. What they use of WASI 0.2 they get, too: a standard library may have been
//! built for it.
//!
//!     cargo run -p evconn-sockets --example async_host -- program.wasm [ARGUMENT]...

mod frame;

use evconn_sockets::{TcpView, p2, p3};
use frame::State;
use wasmtime::component::{Component, Linker};
use wasmtime::{Config, Engine, Result, Store};
use wasmtime_wasi::p3::bindings::Command;

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
    let mut store = Store::new(&engine, State::new(&args));
    let command = Command::instantiate_async(&mut store, &component, &linker).await?;
    let run = store.run_concurrent(async |store| command.wasi_cli_run().call_run(store).await);
    let ended = run.await.and_then(|ended| ended);
    if !matches!(ended, Ok(Ok(()))) {
        // Its peers are to know that something may be missing.
        store.data_mut().tcp().reset_all();
    }
    ended?.map_err(|()| wasmtime::format_err!("the program failed"))
}
