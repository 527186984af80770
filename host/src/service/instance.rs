//! One instance of a service, in a store of its own.

use super::Service;
use super::console::Origin;
use super::failure::{self, Failure, OutOfTime};
use super::meter::{Meter, Tick};
use super::state::ConnectionState;
use crate::bindings::service::Service as Exports;
use crate::bindings::service::evconn::tcp::connection::Connection as WitConnection;
use crate::limits::Limits;
use crate::sockets::{Endpoint, round};
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
        store.epoch_deadline_callback(|store| {
            // Nor do they wait for what was put off until this turn is over.
            round::send_now();
            match store.data().meter.tick() {
                Tick::TooSoon => Ok(UpdateDeadline::Continue(1)),
                Tick::SliceOver => Ok(UpdateDeadline::Yield(1)),
                Tick::LimitReached => Err(OutOfTime.into()),
            }
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

    /// It is to serve one more connection: make it the guest's.
    pub fn begin(
        &mut self,
        endpoint: &Arc<Endpoint>,
        origin: Origin,
        meter: Arc<Meter>,
    ) -> wasmtime::Result<WitConnection> {
        self.served += 1;
        let state = self.store.data_mut();
        state.meter = meter;
        state.console.begin(origin);
        state.connection(endpoint)
    }

    /// Have the guest serve a connection. This is the future of the call itself: whatever is around it
    /// is gone through whenever the guest waits.
    pub fn handle(
        &mut self,
        connection: WitConnection,
    ) -> impl Future<Output = wasmtime::Result<Result<(), String>>> {
        let handler = self.exports.evconn_tcp_handler();
        handler.call_handle(&mut self.store, connection)
    }

    /// It is done with the connection. A failure that is not the handler's own is the end of the
    /// instance.
    pub fn end(
        &mut self,
        result: wasmtime::Result<Result<(), String>>,
        limits: &Limits,
    ) -> Result<Result<(), String>, Failure> {
        self.store.data().console.end();
        result.map_err(|error| explain(&mut self.store, limits, error))
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
