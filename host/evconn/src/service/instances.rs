//! The instances that serve connections: a fresh one for each connection, or one that has served others
//! before.

use super::async_handler::Rest;
use super::backoff::{Attempt, Backoff};
use super::console::Console;
use super::failure::caught;
use super::instance::{Instance, KeptPermit, Outcome, Spent, Unmade};
use super::population::Population;
use super::shared::{InstanceTasks, SharedInstances};
use super::state::InstanceState;
use super::warm::WarmUp;
use super::{Failure, InstancePolicy, Origin, Service};
use crate::interfaces::EntryPoint;
use crate::limits::Limits;
use crate::log::LogBudget;
use crate::metrics::Recorder;
use crate::runtime::{Meter, Payer};
use crate::sockets::Endpoint;
use crate::sockets::Peer;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// The instances of a service.
pub(crate) struct Instances {
    pub(super) service: Service,
    pub(super) limits: Limits,
    pub(super) log: Arc<LogBudget>,
    pub(super) policy: InstancePolicy,
    /// Those that have several connections, if that is what the policy says.
    pub(super) shared: Option<Arc<SharedInstances>>,
    /// The others.
    pub(super) population: Arc<Population>,
    /// How many connections wait for one.
    pub(super) waiting: Arc<AtomicUsize>,
    pub(super) warm_up: WarmUp,
    pub(super) tasks: InstanceTasks,
    pub(super) recorder: Recorder,
    idle: Mutex<Idle>,
    /// Of a program that ends before it accepts.
    backoff: Arc<Backoff>,
    /// Whether it was logged that instances are not reused.
    logged_spent: AtomicBool,
}

#[derive(Default)]
pub(super) struct Idle {
    /// The idle instances, in the order in which they became idle.
    pub instances: VecDeque<(Instant, Instance)>,
    /// Those that were made ahead.
    pub ready: Vec<Instance>,
    /// Whether a task is running that ends those that have been idle for too long.
    has_janitor: bool,
    /// Whether the service was replaced: nothing is kept then.
    pub retired: bool,
}

impl Instances {
    pub fn new(
        service: Service,
        limits: Limits,
        log: Arc<LogBudget>,
        policy: InstancePolicy,
        tasks: &InstanceTasks,
        recorder: &Recorder,
    ) -> Self {
        let are_shared = match service.entry_point() {
            EntryPoint::Run => policy.allows_another(1) || policy.warm > 0,
            EntryPoint::Handler => service.has_tasks() && policy.allows_another(1),
        };
        let shared = are_shared.then(|| {
            let (service, log) = (service.clone(), Arc::clone(&log));
            SharedInstances::new(
                service,
                limits,
                log,
                policy,
                tasks.clone(),
                recorder.clone(),
            )
        });
        Self {
            shared: shared.map(Arc::new),
            population: Arc::default(),
            waiting: Arc::default(),
            warm_up: WarmUp::default(),
            tasks: tasks.clone(),
            recorder: recorder.clone(),
            service,
            limits,
            log,
            policy,
            idle: Mutex::default(),
            backoff: Arc::default(),
            logged_spent: AtomicBool::new(false),
        }
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Returns whether connections have an instance that others may have, too.
    pub fn are_shared(&self) -> bool {
        self.shared.is_some()
    }

    /// Serves a connection, whose end is up to the caller, with an instance that others may have, too. Returns `None` if
    /// each connection has one of its own. An instance that gets no other connection is charged to the `payer`.
    pub async fn share(
        &self,
        endpoint: &Arc<Endpoint>,
        (number, port): (u64, Option<u16>),
        payer: impl Fn() -> Option<Box<dyn Payer>>,
    ) -> Option<Result<Option<Rest>, Failure>> {
        let shared = self.shared.as_ref()?;
        let peer = Peer::of(endpoint);
        let origin = Origin { number, peer, port };
        Some(shared.serve(endpoint, origin, &payer).await)
    }

    /// Serves a connection, whose end is up to the caller, with an instance. Returns what is left of it, if the host does
    /// that alone. The connection's slot, `_place`, is kept until this is done, and its `permit` until the last socket of its guest is closed. It has a
    /// number, and may be for a `port` of a program.
    pub async fn serve(
        self: Arc<Self>,
        _place: impl Send,
        permit: Option<KeptPermit>,
        endpoint: Arc<Endpoint>,
        (number, port): (u64, Option<u16>),
        meter: Arc<Meter>,
    ) -> Result<Option<Rest>, Failure> {
        let _ticking = self.service.ticking();
        let attempt = self.begin_attempt()?;
        let peer = Peer::of(&endpoint);
        let origin = Origin { number, peer, port };
        let mut instance = match self.take_idle() {
            Some(instance) => instance,
            // Boxed, so that its memory is not reserved while the connection is served.
            None => match Box::pin(self.instance(origin, &meter)).await {
                Ok(instance) => instance,
                Err(failure) => return count_failure(attempt, Err(failure)).map(|()| None),
            },
        };
        let result = match instance.serve(&endpoint, origin, meter, permit, attempt.as_ref()) {
            Ok(served) => caught(served).await,
            Err(error) => Err(error),
        };
        let Outcome {
            result,
            left,
            spent,
            is_accepted,
        } = instance.end(&endpoint, result, &self.limits);
        let result = result.map_err(|failure| failure.within(&self.service.lines));
        if !is_accepted {
            return count_failure(attempt, result).map(|()| None);
        }
        drop(attempt);
        if self.policy.allows_another(instance.served) {
            match spent {
                None => self.keep(instance),
                Some(spent) => self.log_spent(spent),
            }
        }
        result.map(|()| left)
    }

    /// Begins to start a program, unless it ends before it accepts.
    fn begin_attempt(&self) -> Result<Option<Attempt>, Failure> {
        if !self.service.is_program() {
            return Ok(None);
        }
        let attempt = self.backoff.begin(Instant::now());
        attempt.map(Some).map_err(Failure::NotStarted)
    }

    /// Makes an instance. While the process is short of memory for it, waits until another one has ended, or uses one
    /// that has become idle.
    async fn instance(&self, origin: Origin, meter: &Arc<Meter>) -> Result<Instance, Failure> {
        let shortage = self.service.host.shortage();
        loop {
            let alive = match self.policy.warm {
                0 => None,
                _ => self.add().await,
            };
            if self.policy.warm > 0 && alive.is_none() {
                match self.take_idle() {
                    Some(idle) => return Ok(idle),
                    None => continue,
                }
            }
            let Some(counted) = shortage.count() else {
                shortage.wait().await;
                match self.take_idle() {
                    Some(idle) => return Ok(idle),
                    None => continue,
                }
            };
            let state = self.state(origin, meter);
            let made = Instance::new(&self.service, &self.limits, state, counted);
            match made.await {
                Err(Unmade::Shortage(why)) if shortage.reached(&why) => {}
                made => {
                    shortage.made();
                    let mut instance = made?;
                    instance.alive = alive;
                    return Ok(instance);
                }
            }
        }
    }

    fn state(&self, origin: Origin, meter: &Arc<Meter>) -> InstanceState {
        let inherits = self.service.grants.inherits_stderr();
        let console = Arc::new(Console::new(origin, inherits, &self.log));
        let meter = Arc::clone(meter);
        InstanceState::new(&self.service, &self.limits, console, NonZeroU32::MIN, meter)
    }

    /// Logs, once, that instances are not reused although that was requested.
    fn log_spent(&self, spent: Spent) {
        if matches!(spent, Spent::Failed | Spent::Program | Spent::Tasks)
            || self.logged_spent.swap(true, Ordering::Relaxed)
        {
            return;
        }
        match spent {
            // The connection's end reports this; a program has one connection.
            Spent::Failed | Spent::Program | Spent::Tasks => {}
            Spent::Exited => {
                tracing::warn!(
                    "instances are not used again, since the service ends them (wasi:cli/exit)"
                );
            }
            Spent::Handles(handles) => tracing::warn!(
                handles,
                "an instance is not used again, since its service does not drop its handles"
            ),
        }
    }

    /// Drops the idle instances, and keeps none from now on. Those that have connections end when these have.
    pub fn retire(&self) {
        self.warm_up.end();
        if let Some(shared) = &self.shared {
            shared.retire();
        }
        let kept = {
            let mut idle = self.idle();
            idle.retired = true;
            let ready = std::mem::take(&mut idle.ready);
            (std::mem::take(&mut idle.instances), ready)
        };
        drop(kept);
        self.population.tell();
    }

    pub(super) fn idle(&self) -> MutexGuard<'_, Idle> {
        // Nothing in there panics halfway.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes the instance that was used last, or one that was made ahead: the memory of the first is most likely cached, and the others may not be
    /// needed.
    fn take_idle(&self) -> Option<Instance> {
        if !self.policy.allows_another(1) && self.policy.warm == 0 {
            return None;
        }
        let mut idle = self.idle();
        let kept = idle.instances.pop_back().map(|(_, instance)| instance);
        let taken = kept.or_else(|| idle.ready.pop());
        drop(idle);
        if self.policy.warm > 0 {
            // Another one is to be made.
            self.population.tell();
        }
        taken
    }

    fn keep(self: Arc<Self>, mut instance: Instance) {
        instance.rest();
        let mut idle = self.idle();
        if idle.retired {
            return;
        }
        idle.instances.push_back((Instant::now(), instance));
        self.service.host.shortage().one_is_free();
        if self.policy.warm > 0 {
            self.population.tell();
        }
        if !std::mem::replace(&mut idle.has_janitor, true) {
            tokio::spawn(end_idle_ones(
                Arc::downgrade(&self),
                self.policy.idle_timeout,
            ));
        }
    }

    /// Ends the instances that have been idle since before `then`. Returns since when the next one has
    /// been idle, if there is one; otherwise the janitor has nothing to do.
    fn end_idle_since(&self, then: Instant) -> Option<Instant> {
        let mut ended = Vec::new();
        let mut idle = self.idle();
        while let Some((_, instance)) = idle.instances.pop_front_if(|(since, _)| *since <= then) {
            ended.push(instance);
        }
        let next = idle.instances.front().map(|(since, _)| *since);
        idle.has_janitor = next.is_some();
        drop(idle);
        next
    }
}

/// Counts that a program has ended before it has accepted its connection, so that it is not started for a while.
fn count_failure(attempt: Option<Attempt>, result: Result<(), Failure>) -> Result<(), Failure> {
    match attempt {
        None => result,
        // Handlers have no attempts.
        Some(attempt) => {
            let now = Instant::now();
            Err(Failure::before_accept(attempt, result, true, now))
        }
    }
}

async fn end_idle_ones(instances: Weak<Instances>, timeout: Duration) {
    let mut next = Instant::now();
    loop {
        let Some(end) = next.checked_add(timeout) else {
            // The timeout is longer than time can be measured, so they are never ended.
            return;
        };
        tokio::time::sleep_until(end.into()).await;
        let Some(instances) = instances.upgrade() else {
            return;
        };
        let now = Instant::now();
        match instances.end_idle_since(now.checked_sub(timeout).unwrap_or(now)) {
            Some(since) => next = since,
            None => return,
        }
    }
}
