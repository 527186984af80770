//! The services of a supervisor: they start together, have one admin endpoint, and a reload of the configuration changes
//! all of them or none.

mod admin;
mod reload;
mod running;
mod starting;
mod upgrade;

use super::life::Order;
use super::upgrade::Predecessor;
use super::workers::Numbers;
use crate::admin::{Admin, Readiness, Reply};
use crate::server::{Plan, ServeError, announce};
use crate::sys::program::Program;
use crate::sys::signals::{Signals, StopSignals};
use crate::sys::{memory, systemd};
use anyhow::Context;
use evconn::{ListenSource, Metrics, Served};
use reload::Reload;
use running::Running;
use starting::{Started, start_all};
use std::collections::HashMap;
use std::sync::Arc;
use tokio::sync::{Notify, mpsc};
use tokio::task::{Id, JoinSet};
use upgrade::Upgrades;

/// Maximum number of orders that a service has not obeyed yet.
const ORDERS: usize = 16;

/// What is served.
pub struct Services {
    /// Where the admin endpoint listens, if there is one.
    pub admin: Option<ListenSource>,
    pub plans: Vec<Plan>,
}

/// Reads again what is served, from a configuration.
pub type ReadAgain = Box<dyn Fn() -> anyhow::Result<Services>>;

/// How the services are started: again after a change of their configuration, or by another version of this program.
pub struct Origin {
    program: Program,
    read_again: Option<ReadAgain>,
}

impl Origin {
    /// One service, from the flags of this process.
    pub fn of_flags() -> Self {
        Self {
            program: Program::of_this_process(),
            read_again: None,
        }
    }

    /// The services of a configuration. `program` is from before the working directory has changed.
    pub fn of_configuration(program: Program, read_again: ReadAgain) -> Self {
        Self {
            program,
            read_again: Some(read_again),
        }
    }
}

/// Serves each of these services with worker processes of its own, until a signal stops them. Returns what each has
/// served, and nothing if the signal came before. Several services have names, and SIGHUP has them read again.
pub async fn serve(services: Services, origin: Origin) -> Result<Vec<Served>, ServeError> {
    memory::take_no_huge_pages();
    let watching = Signals::watch().context("cannot handle signals");
    let signals = watching.map_err(ServeError::Prepare)?;
    let predecessor = Predecessor::find().await.map_err(ServeError::Prepare)?;
    let started = match predecessor {
        Some(predecessor) => {
            Fleet::start_after(predecessor, services, origin, &signals.stops).await?
        }
        None => Fleet::start(services, origin, &signals.stops).await?,
    };
    let Some(fleet) = started else {
        tracing::info!("stopped by a signal before serving");
        return Ok(Vec::new());
    };
    systemd::ready();
    Ok(fleet.serve(signals).await)
}

/// The services that run.
struct Fleet {
    admin: Admin,
    admin_source: Option<ListenSource>,
    read_again: Option<ReadAgain>,
    services: Vec<Running>,
    /// Those whose place others have taken, or that the configuration does not have any more, as long as they have
    /// connections.
    leaving: Vec<Running>,
    /// The lives of all of them.
    lives: JoinSet<Served>,
    /// What was counted by services that have ended, and whose place others have taken, by name.
    counted: HashMap<Option<String>, Metrics>,
    reload: Reload,
    /// Who has asked for a reload that has not begun.
    asked: Vec<Reply<crate::admin::Reload>>,
    /// Who waits for the one that is under way.
    waiting: Vec<Reply<crate::admin::Reload>>,
    /// The numbers of all workers.
    numbers: Numbers,
    /// Notified when a service is ready, or not any more.
    changed: Arc<Notify>,
    upgrades: Upgrades,
    is_ending: bool,
}

impl Fleet {
    /// Starts the services, together or not at all. Returns `None` if a signal arrives meanwhile.
    async fn start(
        services: Services,
        origin: Origin,
        stops: &StopSignals,
    ) -> Result<Option<Self>, ServeError> {
        let Services { admin, plans } = services;
        // Probes are answered from now on.
        let endpoint = stops.unless_stopped_for_long(Admin::start(admin.as_ref()));
        let Some(endpoint) = endpoint.await else {
            return Ok(None);
        };
        let endpoint = endpoint.map_err(ServeError::Prepare)?;
        let mut fleet = Self::new(endpoint, admin, origin).map_err(ServeError::Prepare)?;
        let starting = plans.into_iter().map(|plan| fleet.prepare(plan)).collect();
        let Some(started) = start_all(starting, stops).await? else {
            return Ok(None);
        };
        let listeners = started.iter().flat_map(|service| service.life.listeners());
        announce(listeners).map_err(ServeError::Run)?;
        for service in started {
            fleet.run(service, stops);
        }
        Ok(Some(fleet))
    }

    /// Returns a fleet without services.
    fn new(
        admin: Admin,
        admin_source: Option<ListenSource>,
        origin: Origin,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            admin,
            admin_source,
            read_again: origin.read_again,
            services: Vec::new(),
            leaving: Vec::new(),
            lives: JoinSet::new(),
            counted: HashMap::new(),
            reload: Reload::None,
            asked: Vec::new(),
            waiting: Vec::new(),
            numbers: Numbers::default(),
            changed: Arc::default(),
            upgrades: Upgrades::new(origin.program)?,
            is_ending: false,
        })
    }

    fn run(&mut self, started: Started, stops: &StopSignals) {
        let (orders, receiver) = mpsc::channel(ORDERS);
        let metrics = started.life.metrics();
        let task = self.lives.spawn(started.life.run(stops.clone(), receiver));
        self.services.push(Running {
            identity: started.identity,
            task: task.id(),
            orders,
            readiness: started.readiness,
            metrics,
        });
    }

    /// Serves until the last service has ended.
    async fn serve(mut self, mut signals: Signals) -> Vec<Served> {
        let mut all = Vec::new();
        loop {
            self.report_readiness();
            let may_reload = self.may_reload();
            let may_upgrade = matches!(self.reload, Reload::None);
            if may_reload && !self.asked.is_empty() {
                self.begin_reload(&signals.stops);
            }
            tokio::select! {
                ended = self.lives.join_next_with_id() => match ended {
                    None => break,
                    Some(Ok((task, served))) => {
                        self.one_has_ended(task);
                        all.push(served);
                    }
                    // A panic is a fault of this program.
                    Some(Err(error)) => {
                        tracing::error!("a service has failed: {error}");
                        self.one_has_ended(error.id());
                    }
                },
                () = self.changed.notified() => {}
                Some(command) = self.admin.commands.recv() => self.carry_out(command),
                Some(()) = signals.hangups.next(), if may_reload => self.begin_reload(&signals.stops),
                done = self.reload.next() => self.go_on_with_reload(done, &signals.stops).await,
                happened = self.upgrades.next(), if may_upgrade => self.go_on_with_upgrade(happened, &mut signals).await,
            }
        }
        self.upgrades.end().await;
        all
    }

    /// Tells probes and systemd whether the services are ready.
    fn report_readiness(&mut self) {
        let readiness = self.readiness();
        self.admin.set_readiness(readiness);
        if readiness == Readiness::Ending && !std::mem::replace(&mut self.is_ending, true) {
            self.upgrades.give_up();
            systemd::stopping();
        }
    }

    /// Services that end while others serve do not count.
    fn readiness(&self) -> Readiness {
        let states = || self.services.iter().map(Running::readiness);
        [Readiness::NoWorker, Readiness::Ready]
            .into_iter()
            .find(|one| states().any(|state| state == *one))
            .unwrap_or(Readiness::Ending)
    }

    fn one_has_ended(&mut self, task: Id) {
        if let Some(position) = self.leaving.iter().position(|old| old.task == task) {
            let old = self.leaving.swap_remove(position);
            self.keep_counts(old);
        }
    }

    /// Keeps what a service has counted that has ended, if another one has taken its place.
    fn keep_counts(&mut self, old: Running) {
        let Running {
            identity, metrics, ..
        } = old;
        if self.position(identity.name.as_deref()).is_some() {
            let ended = metrics.ended();
            let all = match self.counted.remove(&identity.name) {
                Some(counted) => counted.and(ended),
                None => ended,
            };
            self.counted.insert(identity.name, all);
        }
    }

    fn position(&self, name: Option<&str>) -> Option<usize> {
        let mut services = self.services.iter();
        services.position(|service| service.name() == name)
    }

    /// Returns all services, those that end included.
    fn all(&self) -> impl Iterator<Item = &Running> {
        self.services.iter().chain(&self.leaving)
    }
}
