//! Futures that tell how a direction of a connection has ended.

use crate::relay::{Ended, Ending};
use crate::view::TcpView;
use wasmtime::AsContextMut;
use wasmtime::component::FutureReader;

/// Returns the future of an ending for a guest, which is known again if it [comes back](ending_of).
///
/// # Errors
/// If the store has no space for it.
pub fn future_of<T: TcpView + 'static>(
    mut store: impl AsContextMut<Data = T>,
    ending: &Ending,
) -> wasmtime::Result<FutureReader<Ended>> {
    let future = FutureReader::new(&mut store, ending.future())?;
    if store.as_context_mut().data_mut().relays().is_none() {
        return Ok(future);
    }
    let future = future.try_into_future_any(&mut store)?;
    if let Some(relays) = store.as_context_mut().data_mut().relays() {
        relays.note(future.clone(), ending);
    }
    FutureReader::try_from_future_any(future)
}

/// Returns what a future tells that a guest has passed to the host, if it is one of the host's own: it is closed then.
/// Otherwise returns it.
///
/// # Errors
/// If it is not of this store.
pub fn ending_of<T: TcpView + 'static>(
    mut store: impl AsContextMut<Data = T>,
    future: FutureReader<Ended>,
) -> wasmtime::Result<Result<Ending, FutureReader<Ended>>> {
    let mut context = store.as_context_mut();
    let relays = context.data_mut().relays();
    // Looking for it costs more than most handlers do otherwise.
    if !relays.is_some_and(|relays| relays.has_futures()) {
        return Ok(Err(future));
    }
    let mut future = future.try_into_future_any(&mut context)?;
    let relays = context.data_mut().relays();
    match relays.and_then(|relays| relays.ending_of(&future)) {
        Some(ending) => {
            future.close(&mut store)?;
            Ok(Ok(ending))
        }
        None => Ok(Err(FutureReader::try_from_future_any(future)?)),
    }
}
