//! Instances of a program, or of a handler of WASI 0.3, that have several connections: at a time, or one after the
//! other.
//!
//! Such an instance is a task of its own ([`life`]). A program gets its connections through its virtual listening
//! sockets; a handler is called for each. The task of each connection waits until the guest has dropped it, or the
//! handler has ended it, or until the instance has ended. Which instance a connection goes to is decided in [`roster`].

mod ahead;
mod life;
mod roster;
mod running;
mod tasks;

pub(crate) use tasks::InstanceTasks;

use super::async_handler::Rest;
use super::backoff::{Attempt, Backoff};
use super::instance::{Instance, Unmade};
use super::state::InstanceState;
use super::{Failure, InstancePolicy, Origin, Service};
use crate::limits::Limits;
use crate::log::LogBudget;
use crate::metrics::{Count, Recorder};
use crate::runtime::{Ahead, Meter, Payer, Run, Ticking};
use crate::sockets::Endpoint;
use futures_util::FutureExt;
use roster::{Choice, Roster};
use running::{Ended, Given, Running};
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// The instances that have several connections.
pub(super) struct SharedInstances {
    service: Service,
    limits: Limits,
    log: Arc<LogBudget>,
    policy: InstancePolicy,
    roster: Mutex<Roster<Arc<Running>, Arc<Given>>>,
    /// Notified when a connection, or an instance, has ended.
    changed: Notify,
    /// Of a program that ends before it accepts.
    backoff: Arc<Backoff>,
    tasks: InstanceTasks,
    recorder: Recorder,
}

impl SharedInstances {
    pub fn new(
        service: Service,
        limits: Limits,
        log: Arc<LogBudget>,
        policy: InstancePolicy,
        tasks: InstanceTasks,
        recorder: Recorder,
    ) -> Self {
        Self {
            service,
            limits,
            log,
            policy,
            roster: Mutex::new(Roster::new(policy)),
            changed: Notify::new(),
            backoff: Arc::default(),
            tasks,
            recorder,
        }
    }

    /// Serves a connection, whose end is up to the caller. Returns what is left of it, if the host does that alone. If this is dropped before, the connection is taken away from
    /// its instance, which continues.
    pub async fn serve(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        origin: Origin,
        payer: &impl Fn() -> Option<Box<dyn Payer>>,
    ) -> Result<Option<Rest>, Failure> {
        loop {
            let lease = self.lease(endpoint, origin).await?;
            if !self.policy.allows_another(1)
                && let Some(payer) = payer()
            {
                lease.running.meter.set_payer(payer);
            }
            if let Some(result) = lease.result().await {
                return result.map(|()| lease.given.take_rest());
            }
            // Its instance has ended without accepting it: another one may.
        }
    }

    /// Gives a connection to an instance, as soon as one may have it.
    async fn lease(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        origin: Origin,
    ) -> Result<Lease, Failure> {
        loop {
            // Whatever changes from now on is noticed.
            let changed = self.changed.notified();
            if let Some(lease) = self.try_lease(endpoint, origin)? {
                return Ok(lease);
            }
            changed.await;
        }
    }

    fn try_lease(
        self: &Arc<Self>,
        endpoint: &Arc<Endpoint>,
        origin: Origin,
    ) -> Result<Option<Lease>, Failure> {
        let mut roster = self.roster();
        let key = match roster.choose() {
            Choice::Existing(key) => key,
            Choice::New => {
                let attempt = self.backoff.begin(Instant::now());
                let attempt = attempt.map_err(|pause| self.not_made(pause))?;
                self.start(&mut roster, attempt, Start::Now)
            }
            Choice::Wait => return Ok(None),
        };
        let given = Arc::new(Given::new(endpoint, origin.number));
        let connection = roster.give(key, Arc::clone(&given));
        let running = roster.instance(key).map(Arc::clone);
        let (Some(connection), Some(running)) = (connection, running) else {
            return Ok(None);
        };
        tracing::debug!(number = origin.number, instance = %running.number, "connection given to an instance");
        if running.is_used() {
            self.recorder.add(Count::Reused, 1);
        }
        // Before the guest gets it.
        let ticking = self.service.ticking();
        running.update(roster.open(key), roster.is_last(key));
        if self.policy.concurrency.get() == 1 {
            running.console.begin(origin);
        }
        running.push(&given, origin.port);
        if self.policy.warm > 0 {
            // It may have been made ahead.
            self.changed.notify_waiters();
        }
        Ok(Some(Lease {
            instances: Arc::clone(self),
            running,
            key,
            connection,
            given,
            begun: Instant::now(),
            _ticking: ticking,
        }))
    }

    fn not_made(&self, pause: Duration) -> Failure {
        Failure::of_pause(pause, self.service.is_program())
    }

    /// Starts an instance, which has no connection yet. Returns its key.
    fn start(
        self: &Arc<Self>,
        roster: &mut Roster<Arc<Running>, Arc<Given>>,
        attempt: Attempt,
        start: Start,
    ) -> usize {
        let inherits = self.service.grants.inherits_stderr();
        let meter = Meter::new(self.limits.cpu_timeout, &self.recorder);
        let running = Arc::new(Running::new(
            meter,
            inherits,
            &self.log,
            self.service.is_program(),
        ));
        let key = roster.add(Arc::clone(&running));
        running.update(0, roster.is_last(key));
        self.spawn(running, key, attempt, start);
        key
    }

    fn spawn(self: &Arc<Self>, running: Arc<Running>, key: usize, attempt: Attempt, start: Start) {
        let announced = Announced {
            instances: Arc::clone(self),
            running: Arc::clone(&running),
            key,
            ended: None,
        };
        let host = self.service.host.clone();
        let meter = Arc::clone(&running.meter);
        // What makes the state of an instance may panic, for example.
        let guest = life::live(Arc::clone(self), Arc::clone(&running), key, attempt);
        let mut guest: Run<_> = Box::pin(AssertUnwindSafe(guest).catch_unwind());
        let background = Arc::clone(host.background());
        let task = async move {
            let mut announced = announced;
            if start == Start::Ahead {
                let is_over = move || running.is_started();
                guest = match background.run_ahead(guest, &meter, is_over).await {
                    Ahead::Left(guest) => guest,
                    Ahead::Done(ended) => return announced.set(ended),
                };
            }
            announced.set(background.run(guest, &meter).await);
            background.note_end(&meter);
        };
        host.workers().spawn(self.tasks.track(task));
    }

    /// Makes the instance itself. While the process is short of memory for it, waits until another one has ended, if it
    /// has a connection.
    async fn make(&self, running: &Running) -> Result<Instance, Failure> {
        let shortage = self.service.host.shortage();
        loop {
            let Some(counted) = shortage.count() else {
                running.check_needed()?;
                shortage.wait().await;
                continue;
            };
            let console = Arc::clone(&running.console);
            let meter = Arc::clone(&running.meter);
            let concurrency = self.policy.concurrency;
            let mut state =
                InstanceState::new(&self.service, &self.limits, console, concurrency, meter);
            if self.service.is_program() {
                state.incoming = Some(running.incoming.clone());
            }
            match Instance::new(&self.service, &self.limits, state, counted).await {
                Err(Unmade::Shortage(why)) if shortage.reached(&why) => running.check_needed()?,
                made => {
                    shortage.made();
                    return Ok(made?);
                }
            }
        }
    }

    /// Has an instance get no more connections, unless it has some. Returns whether it has none.
    fn end_if_unused(&self, key: usize) -> bool {
        self.roster().end_if_unused(key)
    }

    /// Has an instance that ends get no more connections. What it has not accepted is left for others; how the
    /// others end is the host's to decide again.
    fn withdraw(&self, running: &Running, key: usize) {
        let mut roster = self.roster();
        let connections = roster.end(key);
        let left = running.take();
        for given in connections {
            match left.iter().any(|left| Arc::ptr_eq(left, &given.endpoint)) {
                true => given.leave(),
                false => given.endpoint.take_end_from_guest(),
            }
        }
        drop(roster);
    }

    /// Counts what was taken away from the guest of an instance, which may have let go of it meanwhile. Returns whether
    /// there is no place for another connection beside that.
    fn is_filled(&self, running: &Running, key: usize) -> bool {
        let mut roster = self.roster();
        let count = running.still_cut(roster.connections(key));
        let is_filled = roster.set_cut(key, count);
        drop(roster);
        if !is_filled {
            self.changed.notify_waiters();
        }
        is_filled
    }

    /// Has an instance get no more connections.
    fn give_up(&self, key: usize) {
        self.roster().end(key).for_each(drop);
    }

    /// Has the instances end as soon as their connections have.
    pub fn retire(&self) {
        let mut roster = self.roster();
        let running: Vec<_> = roster.retire().map(Arc::clone).collect();
        drop(roster);
        self.changed.notify_waiters();
        for running in running {
            running.retire();
        }
    }

    fn roster(&self) -> MutexGuard<'_, Roster<Arc<Running>, Arc<Given>>> {
        // No code panics while it holds this lock.
        self.roster.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// When an instance is needed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Start {
    Now,
    Ahead,
}

/// A connection that an instance has, until this is dropped.
struct Lease {
    instances: Arc<SharedInstances>,
    running: Arc<Running>,
    key: usize,
    connection: usize,
    given: Arc<Given>,
    begun: Instant,
    /// A guest with a connection may compute at any time.
    _ticking: Ticking,
}

impl Lease {
    /// Waits until the guest has dropped the connection, or its instance has ended. Returns None if that has not
    /// accepted it and another one may.
    async fn result(&self) -> Option<Result<(), Failure>> {
        let ended = tokio::select! {
            biased;
            () = self.given.endpoint.closed_by_guest() => return Some(Ok(())),
            () = self.given.ended() => return self.given.outcome(),
            ended = self.running.ended() => ended,
        };
        if let Some(outcome) = self.given.outcome() {
            return Some(outcome);
        }
        let is_left = self.given.is_left();
        match &ended.failure {
            _ if self.given.endpoint.was_closed_by_guest() => Some(Ok(())),
            // One that never accepts fails for all who wait for it.
            Some(_) if is_left && ended.has_accepted => None,
            Some(failure) if is_left && matches!(**failure, Failure::NoRoom) => None,
            None if is_left => None,
            Some(failure) => Some(Err(Failure::Instance {
                failure: Arc::clone(failure),
                connections: ended.connections,
            })),
            None => Some(Ok(())),
        }
    }
}

impl Lease {
    /// Returns whether it has lasted for most of the time that a connection may be idle, which began before.
    fn has_waited_for_long(&self) -> bool {
        let limit = self.instances.limits.idle_timeout;
        limit.is_some_and(|limit| self.begun.elapsed() >= limit / 2)
    }
}

impl Drop for Lease {
    /// Takes the connection away from a guest that still has it.
    fn drop(&mut self) {
        let (running, endpoint) = (&self.running, &self.given.endpoint);
        let has_ended = endpoint.was_closed_by_guest() || self.given.outcome().is_some();
        let is_cut = !has_ended && !running.has_ended();
        let is_left = is_cut && running.remove(&self.given);
        if is_cut && !is_left {
            endpoint.disconnect();
            self.given.cut();
            running.cut(&self.given);
        }
        let is_stuck = is_left && self.has_waited_for_long();
        let mut roster = self.instances.roster();
        let is_there = |other: &Arc<Running>| Arc::ptr_eq(other, running);
        if roster.instance(self.key).is_some_and(is_there) {
            roster.take(self.key, self.connection);
            if running.has_cut() {
                let count = running.still_cut(roster.connections(self.key));
                roster.set_cut(self.key, count);
            }
            if is_stuck {
                // It does not accept: others get another one.
                roster.end(self.key).for_each(drop);
            }
            running.update(roster.open(self.key), roster.is_last(self.key));
        }
        drop(roster);
        if self.instances.policy.concurrency.get() == 1 {
            running.console.end_connection(running.number);
        }
        running.wake();
        self.instances.changed.notify_waiters();
    }
}

/// Announces the end of an instance, also if its task is dropped.
struct Announced {
    instances: Arc<SharedInstances>,
    running: Arc<Running>,
    key: usize,
    ended: Option<life::Outcome>,
}

impl Announced {
    fn set(&mut self, ended: std::thread::Result<life::Outcome>) {
        let panicked = |panic: Box<dyn Any + Send>| Err(Failure::of_panic(&*panic));
        self.ended = Some(ended.unwrap_or_else(panicked));
    }
}

impl Drop for Announced {
    fn drop(&mut self) {
        let connections = self.instances.roster().remove(self.key);
        let outcome = self.ended.take().unwrap_or(Err(Failure::InstanceGone));
        let has_accepted = self.running.accepted() > 0;
        // Who makes them ahead tells of those; with the host, all are gone.
        let is_told = !self.running.is_used() || matches!(outcome, Err(Failure::InstanceGone));
        if let (Err(failure), 0, false) = (&outcome, connections, is_told) {
            tracing::info!(instance = %self.running.number, "an instance without connections has failed: {failure}");
        }
        self.running.end(Ended {
            failure: outcome.err().map(Arc::new),
            has_accepted,
            connections,
        });
        self.instances.changed.notify_waiters();
    }
}
