//! The services of a supervisor: they start together, and a reload of the configuration changes all of them or none.

use super::life::{Life, Order};
use super::start::{Kept, start};
use crate::args::NamedSource;
use crate::server::{Plan, ServeError, announce};
use crate::sys::signals::Signals;
use crate::sys::{memory, systemd};
use anyhow::{Context, anyhow};
use evconn::Served;
use futures_util::future::try_join_all;
use std::ffi::OsString;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;

/// Maximum number of orders that a service has not obeyed yet.
const ORDERS: usize = 16;

/// Reads the plans of the services again, from a configuration.
pub type ReadAgain = Box<dyn Fn() -> anyhow::Result<Vec<Plan>>>;

/// Serves each of these services with worker processes of its own, until a signal stops them. Returns what each has
/// served, and nothing if the signal came before. Several services have names, and SIGHUP has their plans read again.
pub async fn serve(
    plans: Vec<Plan>,
    read_again: Option<ReadAgain>,
) -> Result<Vec<Served>, ServeError> {
    memory::take_no_huge_pages();
    let watching = Signals::watch().context("cannot handle signals");
    let signals = watching.map_err(ServeError::Prepare)?;
    let mut fleet = Fleet::default();
    // Together, or not at all.
    let Some(started) = start_all(
        plans.into_iter().map(|plan| (plan, Kept::default())),
        &signals,
    )
    .await?
    else {
        tracing::info!("stopped by a signal before serving");
        return Ok(Vec::new());
    };
    let listeners = started.iter().flat_map(|service| service.life.listeners());
    announce(listeners).map_err(ServeError::Run)?;
    systemd::ready();
    for service in started {
        fleet.run(service);
    }
    Ok(fleet.serve(signals, read_again).await)
}

/// A service that is ready to run.
struct Started {
    identity: Identity,
    life: Life,
    signals: Signals,
}

/// What tells a service from others, and from itself before a reload.
#[derive(Clone)]
struct Identity {
    name: Option<String>,
    arguments: Vec<OsString>,
    sources: Vec<NamedSource>,
    admin: Option<evconn::ListenSource>,
}

impl Identity {
    fn of(plan: &Plan) -> Self {
        Self {
            name: plan.name.clone(),
            arguments: plan.arguments.clone(),
            sources: plan.listen.sources.clone(),
            admin: plan.admin.source.clone(),
        }
    }
}

/// Starts services, with what each keeps of the one whose place it takes. Returns `None` if a signal arrives meanwhile.
async fn start_all(
    plans: impl Iterator<Item = (Plan, Kept)>,
    signals: &Signals,
) -> Result<Option<Vec<Started>>, ServeError> {
    let starting: Vec<_> = plans
        .map(|(plan, kept)| Ok((plan, kept, signals.for_another()?)))
        .collect::<anyhow::Result<_>>()
        .map_err(ServeError::Prepare)?;
    let starting = starting.into_iter().map(|(plan, kept, signals)| async {
        let identity = Identity::of(&plan);
        let life = start(plan, kept, &signals).await?;
        Ok::<_, ServeError>(life.map(|life| Started {
            identity,
            life,
            signals,
        }))
    });
    Ok(try_join_all(starting).await?.into_iter().collect())
}

/// The services that run.
#[derive(Default)]
struct Fleet {
    services: Vec<Running>,
    /// Their lives, and those of services whose place others have taken.
    lives: JoinSet<Served>,
}

struct Running {
    identity: Identity,
    orders: mpsc::Sender<Order>,
}

impl Fleet {
    fn run(&mut self, started: Started) {
        let Started {
            identity,
            life,
            signals,
        } = started;
        let (orders, receiver) = mpsc::channel(ORDERS);
        self.lives.spawn(life.run(signals, receiver));
        self.services.push(Running { identity, orders });
    }

    /// Serves until the last service has ended.
    async fn serve(mut self, mut signals: Signals, read_again: Option<ReadAgain>) -> Vec<Served> {
        let mut all = Vec::new();
        let several = read_again.is_some();
        let mut stopping = std::pin::pin!(signals.stop_after(0));
        let mut is_stopping = false;
        loop {
            let may_reload = several && !is_stopping;
            tokio::select! {
                ended = self.lives.join_next() => match ended {
                    None => return all,
                    Some(Ok(served)) => all.push(served),
                    // A panic is a fault of this program.
                    Some(Err(error)) => tracing::error!("a service has failed: {error}"),
                },
                () = &mut stopping, if may_reload => {
                    is_stopping = true;
                    systemd::stopping();
                }
                Some(()) = signals.hangups.next(), if may_reload => {
                    if let Some(read_again) = &read_again {
                        self.reload(read_again, &signals).await;
                    }
                }
            }
        }
    }

    /// Applies a configuration that may have changed: all of it, or nothing.
    async fn reload(&mut self, read_again: &ReadAgain, signals: &Signals) {
        systemd::reloading();
        match self.try_reload(read_again, signals).await {
            Ok(changes) => tracing::info!("configuration reloaded{changes}"),
            Err(error) => {
                tracing::error!("configuration not reloaded, the old one stays: {error:#}");
            }
        }
        systemd::ready();
    }

    async fn try_reload(
        &mut self,
        read_again: &ReadAgain,
        signals: &Signals,
    ) -> anyhow::Result<String> {
        let plans = read_again()?;
        let names: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
        let is_same = |plan: &Plan| {
            let mut services = self.services.iter();
            services.any(|service| service.identity.arguments == plan.arguments)
        };
        let (same, others): (Vec<_>, Vec<_>) = plans.into_iter().partition(is_same);
        let mut starting = Vec::new();
        for plan in others {
            let kept = self.kept_for(&plan).await?;
            starting.push((plan, kept));
        }
        let started = start_all(starting.into_iter(), signals).await;
        let started = started.map_err(|error| match error {
            ServeError::Prepare(error) | ServeError::Run(error) => error,
            ServeError::Listen(error) => error.into(),
        })?;
        let started = started.ok_or_else(|| anyhow!("a signal has stopped it"))?;
        // Nothing fails from here on.
        let mut changes = Changes::default();
        for service in started {
            self.replace(service, &mut changes).await;
        }
        self.end_others(&names, &mut changes).await;
        for plan in same {
            self.order(plan.name.as_deref(), Order::Reload).await;
        }
        Ok(changes.to_string())
    }

    fn position(&self, name: Option<&str>) -> Option<usize> {
        let mut services = self.services.iter();
        services.position(|service| service.identity.name.as_deref() == name)
    }

    /// Returns what a service keeps of the running one with its name.
    async fn kept_for(&self, plan: &Plan) -> anyhow::Result<Kept> {
        let Some(position) = self.position(plan.name()) else {
            return Ok(Kept::default());
        };
        let Running { identity, orders } = &self.services[position];
        let (reply, lent) = oneshot::channel();
        // A service that has ended has nothing to lend.
        let _ = orders.send(Order::Lend(reply)).await;
        let mut sockets = lent.await.unwrap_or_else(|_| Ok(Vec::new()))?;
        sockets.retain(|lent| plan.listen.sources.contains(&lent.source));
        let admin = identity.admin.is_some() && identity.admin == plan.admin.source;
        Ok(Kept { sockets, admin })
    }

    /// Lets a service take the place of the one with its name, if there is one.
    async fn replace(&mut self, mut started: Started, changes: &mut Changes) {
        let Identity {
            name,
            sources,
            admin,
            ..
        } = started.identity.clone();
        let Some(position) = self.position(name.as_deref()) else {
            changes.started.extend(name);
            return self.run(started);
        };
        let old = self.services.swap_remove(position);
        let (reply, estate) = oneshot::channel();
        let order = Order::HandOver {
            kept: sources,
            keeps_admin: admin.is_some() && admin == old.identity.admin,
            reply,
        };
        // One that has ended leaves nothing.
        let _ = old.orders.send(order).await;
        if let Ok(estate) = estate.await {
            started.life.inherit(estate);
        }
        changes.changed.extend(name);
        self.run(started);
    }

    /// Ends the services that have none of these names.
    async fn end_others(&mut self, names: &[Option<String>], changes: &mut Changes) {
        let is_gone = |service: &mut Running| !names.contains(&service.identity.name);
        let gone: Vec<_> = self.services.extract_if(.., is_gone).collect();
        for service in gone {
            // It may have ended already.
            let _ = service.orders.send(Order::Stop).await;
            changes.ended.extend(service.identity.name);
        }
    }

    async fn order(&self, name: Option<&str>, order: Order) {
        if let Some(position) = self.position(name) {
            // It may have ended.
            let _ = self.services[position].orders.send(order).await;
        }
    }
}

/// The names of the services that a reload has changed.
#[derive(Default)]
struct Changes {
    started: Vec<String>,
    changed: Vec<String>,
    ended: Vec<String>,
}

impl std::fmt::Display for Changes {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let all = [
            ("started", &self.started),
            ("changed", &self.changed),
            ("ended", &self.ended),
        ];
        for (what, names) in all.iter().filter(|(_, names)| !names.is_empty()) {
            write!(f, ", {what}: {}", names.join(" "))?;
        }
        Ok(())
    }
}
