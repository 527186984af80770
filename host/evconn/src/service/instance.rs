//! One instance of a service, in a store of its own.

use super::Service;
use super::async_handler::{self, Rest, Supply};
use super::backoff::Attempt;
use super::console::Origin;
use super::entry::Instantiated;
use super::failure::{self, Failure, HostPanic, OutOfTime};
use super::population::Alive;
use super::state::InstanceState;
use crate::limits::Limits;
use crate::metrics::{OpenInstance, Timing};
use crate::runtime::{Counted, InstanceUse, Meter, Tick, is_shortage};
use crate::sockets::Endpoint;
use crate::{GuestTrap, WasiVersion};
use futures_util::future::Either;
use std::any::Any;
use std::pin::Pin;
use std::sync::Arc;
use std::task::Context;
use std::time::Instant;
use wasmtime::{Store, UpdateDeadline};
use wasmtime_wasi::I32Exit;

/// The most bytes that a guest may pass to the host in a call, as lists and texts: for as long as these are
/// copied, it is not interrupted.
///
/// wasmtime 48 counts them before a function of the host is called, and the type of its error is private: a trap
/// for this reason cannot be told from others, so the limit and the remedy are in the documentation only.
const MOST_PASSED: usize = 1 << 20;

/// In WASI 0.2, the most handles of an instance's own resources, which components pass to each other, beside those of the
/// host's. The tables for them are memory of the host.
const OWN_HANDLES: usize = 16 << 10;

/// What a guest that is called in this way has come to.
type Boxed<'a> = Pin<Box<dyn Future<Output = wasmtime::Result<Result<(), String>>> + Send + 'a>>;

/// The permit of a connection.
pub(crate) type KeptPermit = Arc<dyn Any + Send + Sync>;

pub(super) struct Instance {
    store: Store<InstanceState>,
    exports: Instantiated,
    /// How many connections it has served.
    pub served: u32,
    /// What the host does alone of a connection, now that its handler has returned.
    left: Option<Rest>,
    /// The handles of a handler's connection: input, output, socket.
    given: [u32; 3],
    /// Dropped after the store.
    _open: OpenInstance,
    _counted: Counted,
    /// Likewise, if its service counts them.
    pub alive: Option<Alive>,
}

impl Instance {
    /// # Errors
    /// If its guest fails at its start, or the process is short of memory for it.
    pub async fn new(
        service: &Service,
        limits: &Limits,
        state: InstanceState,
        counted: Counted,
    ) -> Result<Self, Unmade> {
        let mut store = Store::new(&service.engine.engine, state);
        store.limiter(|state| &mut state.allowance);
        store.set_hostcall_fuel(MOST_PASSED);
        store.set_max_component_handles(match service.wasi {
            WasiVersion::V0_2 => limits.max_handles.saturating_add(OWN_HANDLES),
            // Its streams and futures are in these tables alone.
            WasiVersion::V0_3 => limits.max_handles,
        });
        // A guest that computes is interrupted at the end of each time slice, so that other tasks run.
        store.set_epoch_deadline(1);
        store.epoch_deadline_callback(|store| match store.data().meter.tick() {
            Tick::TooSoon => Ok(UpdateDeadline::Continue(1)),
            Tick::SliceOver => Ok(UpdateDeadline::Yield(1)),
            Tick::LimitReached => Err(OutOfTime.into()),
        });
        let begun = Instant::now();
        match service.entry.instantiate(&mut store).await {
            Ok(exports) => Ok(Self {
                _open: note_created(&store, begun),
                store,
                exports,
                served: 0,
                left: None,
                given: [0; 3],
                _counted: counted,
                alive: None,
            }),
            Err(error) if is_shortage(&error) => Err(Unmade::Shortage(error)),
            Err(error) => Err(Unmade::Failed(explain(&mut store, limits, error))),
        }
    }

    /// Begins to serve a connection: makes it the guest's. Until the guest's last socket is closed, its permit
    /// is kept. The returned future is the call itself: every layer around it is polled whenever the guest is.
    pub fn serve<'a>(
        &'a mut self,
        endpoint: &Arc<Endpoint>,
        origin: Origin,
        meter: Arc<Meter>,
        permit: Option<KeptPermit>,
        attempt: Option<&'a Attempt>,
    ) -> wasmtime::Result<impl Future<Output = wasmtime::Result<Result<(), String>>> + use<'a>>
    {
        self.begin(origin, meter, permit);
        let state = self.store.data_mut();
        Ok(match &self.exports {
            Instantiated::Handler(exports) => {
                let connection = state.connection(endpoint)?;
                self.given = [
                    connection.input.rep(),
                    connection.output.rep(),
                    connection.socket.rep(),
                ];
                let handler = exports.evconn_tcp_handler();
                Either::Left(handler.call_handle(&mut self.store, connection))
            }
            Instantiated::AsyncHandler(handler) => {
                let endpoint = Arc::clone(endpoint);
                let (store, left) = (&mut self.store, &mut self.left);
                let serve = async_handler::serve(store, handler, endpoint, origin.number, left);
                let serve: Boxed<'a> = Box::pin(serve);
                Either::Right(serve)
            }
            Instantiated::Run(program, incoming) => {
                match origin.port {
                    Some(port) => incoming.push_for(port, Arc::clone(endpoint)),
                    None => incoming.push(Arc::clone(endpoint)),
                }
                let mut has_accepted = false;
                let is_over = move |_: &mut Context<'_>, is_pending| {
                    if !has_accepted && incoming.accepted() > 0 {
                        has_accepted = true;
                        note_accepted(attempt, true);
                    }
                    is_pending && incoming.is_done()
                };
                let run = program.run(&mut self.store, incoming, is_over);
                // Boxed, so that a handler's future is no larger.
                let run: Boxed<'a> = Box::pin(run);
                Either::Right(run)
            }
        })
    }

    /// Makes it ready for a connection.
    fn begin(&mut self, origin: Origin, meter: Arc<Meter>, permit: Option<KeptPermit>) {
        meter.set_instance(match self.served {
            0 => InstanceUse::Fresh,
            _ => InstanceUse::Reused,
        });
        self.served += 1;
        let state = self.store.data_mut();
        state.meter = meter;
        state.console.begin(origin);
        state.account.report_again();
        state.account.keep(permit);
        state.is_settled = false;
    }

    /// Runs a program that gets its connections from others, or a handler of WASI 0.3 with those of the `supply`, until it
    /// ends or `is_over` says so: see [`Program::run`](super::program::Program::run) and [`async_handler::serve_several`].
    pub async fn run(
        &mut self,
        supply: &dyn Supply,
        is_over: impl FnMut(&mut Context<'_>, bool) -> bool,
    ) -> wasmtime::Result<Result<(), String>> {
        self.store.data_mut().is_settled = false;
        match &self.exports {
            Instantiated::Run(program, incoming) => {
                program.run(&mut self.store, incoming, is_over).await
            }
            Instantiated::AsyncHandler(handler) => {
                async_handler::serve_several(&mut self.store, handler, supply, is_over).await
            }
            Instantiated::Handler(_) => wasmtime::bail!("a handler is called for each connection"),
        }
    }

    /// Ends an instance that [has run](Self::run). What its guest has open ends regularly if it has succeeded, and if
    /// `is_regular`.
    pub fn end_of_run(
        mut self,
        result: wasmtime::Result<Result<(), String>>,
        is_regular: bool,
        limits: &Limits,
    ) -> Result<(), Failure> {
        self.store.data().console.end();
        let result = match result {
            Ok(result) => result.map_err(Failure::Handler),
            Err(error) => self.end_of_instance(error, limits).0,
        };
        self.store.data_mut().is_settled = result.is_ok() && is_regular;
        result
    }

    /// Ends the connection. Takes away whatever the guest has not dropped of it.
    pub fn end(
        &mut self,
        endpoint: &Arc<Endpoint>,
        result: wasmtime::Result<Result<(), String>>,
        limits: &Limits,
    ) -> Outcome {
        let state = self.store.data_mut();
        state.console.end();
        let (is_accepted, spent) = match &self.exports {
            Instantiated::Handler(_) => {
                let handles = state.revoke(self.given, endpoint);
                let too_many = handles > limits.max_handles / 2;
                (true, too_many.then_some(Spent::Handles(handles)))
            }
            // Its tasks may have anything of the connection.
            Instantiated::AsyncHandler(_) => (true, Some(Spent::Tasks)),
            Instantiated::Run(_, incoming) => {
                endpoint.take_end_from_guest();
                (incoming.take().is_empty(), Some(Spent::Program))
            }
        };
        let (result, of_end) = match result {
            Ok(result) => (result.map_err(Failure::Handler), None),
            Err(error) => self.end_of_instance(error, limits),
        };
        if result.is_ok() {
            self.settle();
        }
        Outcome {
            left: self.left.take(),
            result,
            spent: of_end.or(spent),
            is_accepted,
        }
    }

    /// Makes it ready for another connection: what it has open belongs to none.
    pub fn rest(&mut self) {
        self.settle();
        self.store.data_mut().account.keep(None);
    }

    /// Marks the instance as settled: none of its open connections is reset when it is dropped.
    pub fn settle(&mut self) {
        self.store.data_mut().is_settled = true;
    }

    /// Explains why the guest did not return.
    fn end_of_instance(
        &mut self,
        error: wasmtime::Error,
        limits: &Limits,
    ) -> (Result<(), Failure>, Option<Spent>) {
        match error.downcast_ref() {
            Some(I32Exit(0)) => (Ok(()), Some(Spent::Exited)),
            Some(I32Exit(status)) => (Err(Failure::Exited(*status)), Some(Spent::Exited)),
            None => {
                let failure = explain(&mut self.store, limits, error);
                (Err(failure), Some(Spent::Failed))
            }
        }
    }
}

impl Drop for Instance {
    fn drop(&mut self) {
        self.store.data_mut().reset_unless_settled();
    }
}

/// Counts an instance that was instantiated since this time.
fn note_created(store: &Store<InstanceState>, begun: Instant) -> OpenInstance {
    let recorder = store.data().meter.recorder();
    recorder.time(Timing::Instantiation, begun.elapsed());
    recorder.instance()
}

/// Notes that a program has accepted its connection, or that a handler is called for one.
pub(super) fn note_accepted(attempt: Option<&Attempt>, is_program: bool) {
    if !attempt.is_some_and(Attempt::accepted) {
        return;
    }
    match is_program {
        true => tracing::info!("the program accepts connections again"),
        false => tracing::info!("instances of the handler start again"),
    }
}

/// Why there is no instance.
pub(super) enum Unmade {
    Failed(Failure),
    /// The process is short of memory for it.
    Shortage(wasmtime::Error),
}

impl From<Unmade> for Failure {
    fn from(unmade: Unmade) -> Self {
        match unmade {
            Unmade::Failed(failure) => failure,
            Unmade::Shortage(error) => Self::Trap {
                trap: GuestTrap::new(error),
                refused: None,
            },
        }
    }
}

/// The outcome of a connection.
pub(super) struct Outcome {
    pub result: Result<(), Failure>,
    /// What the host does alone of the connection, if it has not ended.
    pub left: Option<Rest>,
    /// Why its instance cannot be reused, if it cannot.
    pub spent: Option<Spent>,
    /// Whether the guest has had the connection: a program that has not listened, or not accepted, has not.
    pub is_accepted: bool,
}

/// Why an instance cannot be reused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Spent {
    /// It trapped, or exceeded a limit.
    Failed,
    /// It called `wasi:cli/exit`.
    Exited,
    /// It is a program, which has ended or waits for another connection.
    Program,
    /// It is a handler of WASI 0.3, whose instance has one connection.
    Tasks,
    /// It has this many handles that were never dropped.
    Handles(usize),
}

fn explain(store: &mut Store<InstanceState>, limits: &Limits, error: wasmtime::Error) -> Failure {
    if let Some(HostPanic(text)) = error.downcast_ref() {
        return Failure::Panicked(text.clone());
    }
    let is_out_of_time = error.is::<OutOfTime>();
    let is_for_handles = failure::is_for_handles(&error);
    let trap = GuestTrap::new(error);
    if let (true, Some(limit)) = (is_out_of_time, limits.cpu_timeout) {
        return Failure::CpuTimeout { limit, trap };
    }
    if is_for_handles {
        let limit = limits.max_handles;
        return Failure::TooManyHandles { limit, trap };
    }
    let refused = store.data_mut().allowance.take_refused();
    Failure::Trap { trap, refused }
}
