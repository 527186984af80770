//! `wasi:clocks/monotonic-clock`: the pollables of timers, which are told apart from those of anything else. A guest
//! that waits for connections and for the time waits for connections.

use crate::view::TcpView;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::StoreContextMut;
use wasmtime::component::{Linker, Resource};
use wasmtime_wasi::clocks::WasiClocksView;
use wasmtime_wasi::p2::DynPollable;
use wasmtime_wasi::p2::bindings::clocks::monotonic_clock::Host;

/// When a timer expires. It is in the resource table in the place of a pollable.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Deadline {
    Past,
    At(Instant),
    /// The clock does not reach so far.
    Never,
}

impl Deadline {
    fn after(nanoseconds: u64) -> Self {
        let duration = Duration::from_nanos(nanoseconds);
        match Instant::now().checked_add(duration) {
            _ if duration.is_zero() => Self::Past,
            Some(at) => Self::At(at),
            None => Self::Never,
        }
    }

    /// Returns whether it has expired.
    pub fn is_over(self) -> bool {
        match self {
            Self::Past => true,
            Self::At(at) => at <= Instant::now(),
            Self::Never => false,
        }
    }

    /// Returns the earlier one.
    pub fn min(self, other: Self) -> Self {
        match (self, other) {
            (Self::Past, _) | (_, Self::Past) => Self::Past,
            (Self::At(one), Self::At(other)) => Self::At(one.min(other)),
            (Self::Never, other) => other,
            (one, Self::Never) => one,
        }
    }

    /// Waits until it has expired. A guest that polls with no timeout lets other tasks run in between, and the event
    /// loop look at the sockets.
    pub async fn over(self) {
        match self {
            Self::Past => tokio::task::yield_now().await,
            Self::At(at) => tokio::time::sleep_until(at).await,
            Self::Never => std::future::pending().await,
        }
    }
}

/// Replaces the functions that subscribe.
pub(crate) fn add_to_linker<T: TcpView + 'static>(linker: &mut Linker<T>) -> wasmtime::Result<()> {
    let mut interface = linker.instance("wasi:clocks/monotonic-clock@0.2.12")?;
    interface.func_wrap(
        "subscribe-instant",
        |mut store: StoreContextMut<'_, T>, (when,): (u64,)| {
            let now = store.data_mut().clocks().now()?;
            Ok((subscribe(store, when.saturating_sub(now))?,))
        },
    )?;
    interface.func_wrap(
        "subscribe-duration",
        |store: StoreContextMut<'_, T>, (duration,): (u64,)| Ok((subscribe(store, duration)?,)),
    )
}

fn subscribe<T: TcpView>(
    mut store: StoreContextMut<'_, T>,
    nanoseconds: u64,
) -> wasmtime::Result<Resource<DynPollable>> {
    let deadline = Deadline::after(nanoseconds);
    let timer = store.data_mut().tcp().table.push(deadline)?;
    Ok(Resource::new_own(timer.rep()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_earliest_deadline_is_the_first_to_be_over() {
        let (soon, later) = (Deadline::after(1_000_000), Deadline::after(u64::MAX));
        assert!(!later.is_over() && !Deadline::Never.is_over());
        later.min(Deadline::Never).min(soon).over().await;
        assert!(soon.is_over() && !later.is_over());
        let past = later.min(Deadline::after(0));
        assert!(past.is_over());
        past.over().await;
    }
}
