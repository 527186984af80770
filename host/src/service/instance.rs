//! One instance of a service, in a store of its own.

use super::Service;
use super::console::Origin;
use super::failure::{self, Failure, OutOfTime};
use super::meter::{Meter, Tick};
use super::state::ConnectionState;
use crate::bindings::service::Service as Exports;
use crate::limits::Limits;
use crate::sockets::Endpoint;
use std::sync::Arc;
use wasmtime::{Store, UpdateDeadline};

pub(super) struct Instance {
    store: Store<ConnectionState>,
    exports: Exports,
    /// How many connections it has served.
    pub served: u32,
}

impl Instance {
    pub async fn new(
        service: &Service,
        limits: &Limits,
        origin: Origin,
        meter: Arc<Meter>,
    ) -> Result<Self, Failure> {
        let state = ConnectionState::new(limits, &service.grants, origin, meter);
        let mut store = Store::new(service.host.services(), state);
        store.limiter(|state| &mut state.allowance);
        // A guest that computes is interrupted at the end of each slice, and others get their turn.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| match store.data().meter.tick() {
            Tick::TooSoon => Ok(UpdateDeadline::Continue(1)),
            Tick::SliceOver => Ok(UpdateDeadline::Yield(1)),
            Tick::LimitReached => Err(OutOfTime.into()),
        });
        match service.pre.instantiate_async(&mut store).await {
            Ok(exports) => Ok(Self {
                store,
                exports,
                served: 0,
            }),
            Err(error) => Err(explain(&mut store, limits, error)),
        }
    }

    /// Serve one connection. A failure that is not the handler's own is the end of the instance.
    ///
    /// The connection is reset if this fails, or is given up.
    pub async fn serve(
        &mut self,
        endpoint: &Arc<Endpoint>,
        limits: &Limits,
        origin: Origin,
        meter: Arc<Meter>,
    ) -> Result<Result<(), String>, Failure> {
        self.served += 1;
        self.store.data_mut().meter = meter;
        self.store.data().console.begin(origin);
        // Dropped before the store: the end of the streams in there would be a regular one.
        let unfinished = ResetOnDrop(endpoint);
        let result = self.call(endpoint).await;
        self.store.data().console.end();
        match result {
            Ok(result) => {
                unfinished.disarm();
                Ok(result)
            }
            Err(error) => Err(explain(&mut self.store, limits, error)),
        }
    }

    async fn call(&mut self, endpoint: &Arc<Endpoint>) -> wasmtime::Result<Result<(), String>> {
        let connection = self.store.data_mut().connection(endpoint)?;
        let handler = self.exports.evconn_tcp_handler();
        handler.call_handle(&mut self.store, connection).await
    }
}

fn explain(store: &mut Store<ConnectionState>, limits: &Limits, error: wasmtime::Error) -> Failure {
    if let (true, Some(limit)) = (error.is::<OutOfTime>(), limits.cpu_timeout) {
        return Failure::CpuTimeout(limit);
    }
    if failure::is_for_handles(&error) {
        return Failure::TooManyHandles(limits.max_handles);
    }
    let refused = store.data_mut().allowance.take_refused();
    Failure::Trap { error, refused }
}

/// Resets a connection whose instance trapped, or was given up: it owns nothing else.
pub(super) struct ResetOnDrop<'a>(pub &'a Endpoint);

impl ResetOnDrop<'_> {
    pub fn disarm(self) {
        std::mem::forget(self);
    }
}

impl Drop for ResetOnDrop<'_> {
    fn drop(&mut self) {
        self.0.reset();
    }
}
