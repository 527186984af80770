//! The instances that serve connections: a fresh one for each connection, or one that has served others
//! before.

use super::backoff::{Attempt, Backoff};
use super::console::{Console, InstanceNumber};
use super::instance::{Instance, KeptPermit, Outcome, Spent, Unmade};
use super::population::{Alive, Population};
use super::shared::{InstanceTasks, SharedInstances};
use super::state::ConnectionState;
use super::warm::WarmUp;
use super::{Failure, InstancePolicy, Origin, Service};
use crate::limits::Limits;
use crate::log::LogBudget;
use crate::runtime::{Ahead, Meter, Payer};
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
    limits: Limits,
    log: Arc<LogBudget>,
    pub(super) policy: InstancePolicy,
    /// Those that have several connections, if that is what the policy says.
    shared: Option<Arc<SharedInstances>>,
    /// The others.
    population: Arc<Population>,
    /// How many connections wait for one.
    waiting: Arc<AtomicUsize>,
    pub(super) warm_up: WarmUp,
    pub(super) tasks: InstanceTasks,
    idle: Mutex<Idle>,
    /// Of a program that ends before it accepts.
    backoff: Arc<Backoff>,
    /// Whether it was logged that instances are not reused.
    logged_spent: AtomicBool,
}

#[derive(Default)]
struct Idle {
    /// The idle instances, in the order in which they became idle.
    instances: VecDeque<(Instant, Instance)>,
    /// Those that were made ahead.
    ready: Vec<Instance>,
    /// Whether a task is running that ends those that have been idle for too long.
    has_janitor: bool,
    /// Whether the service was replaced: nothing is kept then.
    retired: bool,
}

impl Instances {
    pub fn new(
        service: Service,
        limits: Limits,
        log: Arc<LogBudget>,
        policy: InstancePolicy,
        tasks: &InstanceTasks,
    ) -> Self {
        let are_shared = service.is_program() && (policy.allows_another(1) || policy.warm > 0);
        let shared = are_shared.then(|| {
            let (service, log) = (service.clone(), Arc::clone(&log));
            SharedInstances::new(service, limits, log, policy, tasks.clone())
        });
        Self {
            shared: shared.map(Arc::new),
            population: Arc::default(),
            waiting: Arc::default(),
            warm_up: WarmUp::default(),
            tasks: tasks.clone(),
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

    /// Serves a connection, whose end is up to the caller, with an instance that others may have, too. Returns `None` if
    /// each connection has one of its own. An instance that gets no other connection is charged to the `payer`.
    pub async fn share(
        &self,
        endpoint: &Arc<Endpoint>,
        (number, port): (u64, Option<u16>),
        payer: impl Fn() -> Option<Box<dyn Payer>>,
    ) -> Option<Result<(), Failure>> {
        let shared = self.shared.as_ref()?;
        let peer = Peer::of(endpoint);
        let origin = Origin { number, peer, port };
        Some(shared.serve(endpoint, origin, &payer).await)
    }

    /// Serves a connection, whose end is up to the caller, with an instance. The connection's slot,
    /// `_place`, is kept until this is done, and its `permit` until the last socket of its guest is closed. It has a
    /// number, and may be for a `port` of a program.
    pub async fn serve(
        self: Arc<Self>,
        _place: impl Send,
        permit: Option<KeptPermit>,
        endpoint: Arc<Endpoint>,
        (number, port): (u64, Option<u16>),
        meter: Arc<Meter>,
    ) -> Result<(), Failure> {
        let _ticking = self.service.host.ticking();
        let attempt = self.begin_attempt()?;
        let peer = Peer::of(&endpoint);
        let origin = Origin { number, peer, port };
        let mut instance = match self.take_idle() {
            Some(instance) => instance,
            // Boxed, so that its memory is not reserved while the connection is served.
            None => match Box::pin(self.instance(origin, &meter)).await {
                Ok(instance) => instance,
                Err(failure) => return count_failure(attempt, Err(failure)),
            },
        };
        let result = match instance.serve(&endpoint, origin, meter, permit, attempt.as_ref()) {
            Ok(served) => served.await,
            Err(error) => Err(error),
        };
        let Outcome {
            result,
            spent,
            is_accepted,
        } = instance.end(&endpoint, result, &self.limits);
        let result = result.map_err(|failure| failure.within(&self.service.lines));
        if !is_accepted {
            return count_failure(attempt, result);
        }
        drop(attempt);
        if self.policy.allows_another(instance.served) {
            match spent {
                None => self.keep(instance),
                Some(spent) => self.log_spent(spent),
            }
        }
        result
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

    /// Counts another instance. If there are as many as there may be, since some were made ahead, waits until that
    /// changes, and returns `None`.
    async fn add(&self) -> Option<Alive> {
        let changed = self.population.changed();
        if let Some(alive) = self.population.add(self.most()) {
            return Some(alive);
        }
        let has_none = {
            let idle = self.idle();
            idle.ready.is_empty() && idle.instances.is_empty()
        };
        if has_none {
            let _waiting = Waiting::new(&self.waiting);
            changed.await;
        }
        None
    }

    /// Returns how many instances there may be. Without those that are made ahead, there are no more than connections.
    fn most(&self) -> usize {
        match (self.policy.warm, self.policy.max_instances) {
            (0, _) | (_, None) => usize::MAX,
            (_, Some(most)) => most.get(),
        }
    }

    /// Waits until another instance is to be made ahead. Returns whether there will be any.
    pub(super) async fn one_is_missing(&self) -> bool {
        if let Some(shared) = &self.shared {
            return shared.one_is_missing().await;
        }
        loop {
            let changed = self.population.changed();
            {
                let idle = self.idle();
                if idle.retired {
                    return false;
                }
                if idle.ready.len() < self.policy.warm && self.population.is_below(self.most()) {
                    return true;
                }
            }
            changed.await;
        }
    }

    /// Makes an instance ahead.
    ///
    /// # Errors
    /// If it fails at its start, or the process is short of memory for it.
    pub(super) async fn make_ahead(&self) -> Result<(), Failure> {
        if let Some(shared) = &self.shared {
            return shared.make_ahead().await;
        }
        let host = &self.service.host;
        let counted = host.shortage().count();
        let alive = self.population.add(self.most());
        let (Some(counted), Some(alive)) = (counted, alive) else {
            return Err(Failure::NoRoom);
        };
        let meter = Arc::new(Meter::new(self.limits.cpu_timeout));
        let _ticking = host.ticking();
        let (service, limits, state) =
            (self.service.clone(), self.limits, self.unused_state(&meter));
        let make = async move { Instance::new(&service, &limits, state, counted).await };
        let waiting = Arc::clone(&self.waiting);
        let is_over = move || waiting.load(Ordering::Relaxed) > 0;
        let background = host.background();
        let made = match background.run_ahead(Box::pin(make), &meter, is_over).await {
            Ahead::Done(made) => made,
            Ahead::Left(make) => background.run(make, &meter).await,
        };
        let mut instance =
            made.map_err(|unmade| Failure::from(unmade).within(&self.service.lines))?;
        host.shortage().made();
        instance.alive = Some(alive);
        self.keep_ready(instance);
        Ok(())
    }

    /// Keeps an instance for the next connection that finds no idle one.
    fn keep_ready(&self, instance: Instance) {
        let mut idle = self.idle();
        if !idle.retired {
            idle.ready.push(instance);
        }
        drop(idle);
        self.population.tell();
    }

    fn unused_state(&self, meter: &Arc<Meter>) -> ConnectionState {
        let inherits = self.service.grants.inherits_stderr();
        let number = InstanceNumber::next();
        let console = Arc::new(Console::of_instance(number, inherits, &self.log));
        let meter = Arc::clone(meter);
        ConnectionState::new(&self.service, &self.limits, console, NonZeroU32::MIN, meter)
    }

    fn state(&self, origin: Origin, meter: &Arc<Meter>) -> ConnectionState {
        let inherits = self.service.grants.inherits_stderr();
        let console = Arc::new(Console::new(origin, inherits, &self.log));
        let meter = Arc::clone(meter);
        ConnectionState::new(&self.service, &self.limits, console, NonZeroU32::MIN, meter)
    }

    /// Logs, once, that instances are not reused although that was requested.
    fn log_spent(&self, spent: Spent) {
        if matches!(spent, Spent::Failed | Spent::Program)
            || self.logged_spent.swap(true, Ordering::Relaxed)
        {
            return;
        }
        match spent {
            // The connection's end reports this; a program has one connection.
            Spent::Failed | Spent::Program => {}
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

    fn idle(&self) -> MutexGuard<'_, Idle> {
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

/// A connection that waits for an instance.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Counts that a program has ended before it has accepted its connection, so that it is not started for a while.
fn count_failure(attempt: Option<Attempt>, result: Result<(), Failure>) -> Result<(), Failure> {
    match attempt {
        None => result,
        Some(attempt) => Err(Failure::before_accept(attempt, result, Instant::now())),
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
