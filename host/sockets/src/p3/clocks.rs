//! `wasi:clocks/monotonic-clock`: waiting until a time is told apart from waiting for anything else. A guest that waits
//! for connections and for the time waits for connections.

use super::awaits::incoming;
use crate::listen::Awaited;
use crate::view::TcpView;
use wasmtime::component::{Accessor, Linker};
use wasmtime_wasi::clocks::{WasiClocks, WasiClocksView};
use wasmtime_wasi::p3::bindings::clocks::monotonic_clock::HostWithStore;

/// Replaces the functions that wait.
pub fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("wasi:clocks/monotonic-clock@0.3.0")?;
    interface.func_wrap_concurrent("wait-until", |store, (when,): (u64,)| {
        Box::pin(async move {
            let clocks = store.with_getter::<WasiClocks>(T::clocks);
            wait(store, WasiClocks::wait_until(&clocks, when)).await
        })
    })?;
    interface.func_wrap_concurrent("wait-for", |store, (duration,): (u64,)| {
        Box::pin(async move {
            let clocks = store.with_getter::<WasiClocks>(T::clocks);
            wait(store, WasiClocks::wait_for(&clocks, duration)).await
        })
    })
}

async fn wait<T: TcpView>(
    store: &Accessor<T>,
    time: impl Future<Output = wasmtime::Result<()>>,
) -> wasmtime::Result<()> {
    let Some(incoming) = incoming(store) else {
        return time.await;
    };
    let _awaits = incoming.awaits(Awaited::Time);
    time.await?;
    incoming.time_has_come();
    Ok(())
}
