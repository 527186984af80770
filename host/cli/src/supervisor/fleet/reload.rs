//! Reloading: of one service, or of a configuration, all of which is applied or nothing.

use super::running::{Running, ask};
use super::starting::{Identity, Started, Starting, start_all};
use super::{Fleet, Order, Services};
use crate::admin::{self, Admin, answer};
use crate::server::{Plan, ServeError};
use crate::supervisor::life::Loan;
use crate::supervisor::start::Kept;
use crate::sys::signals::StopSignals;
use crate::sys::systemd;
use anyhow::anyhow;
use evconn::ListenSource;
use std::future::pending;
use std::pin::Pin;
use tokio::sync::{mpsc, oneshot};

type Boxed<T> = Pin<Box<dyn Future<Output = T>>>;

/// The phase of a reload.
pub enum Reload {
    None,
    /// What a configuration changes is starting.
    Starting(Boxed<anyhow::Result<Changed>>),
    /// Services read their components and certificates again.
    Rereading(admin::Reload, Boxed<Vec<admin::Reload>>),
}

/// What has become of a phase.
pub enum Done {
    Starting(anyhow::Result<Changed>),
    Rereading(Vec<admin::Reload>),
}

impl Reload {
    /// Waits for the end of a phase. The future is cancel-safe.
    pub async fn next(&mut self) -> Done {
        match self {
            Self::None => pending().await,
            Self::Starting(starting) => Done::Starting(starting.await),
            Self::Rereading(_, reading) => Done::Rereading(reading.await),
        }
    }
}

/// What a configuration has changed, which runs already.
pub struct Changed {
    admin: Option<(Admin, Option<ListenSource>)>,
    started: Vec<Started>,
    /// The services that are the same.
    same: Vec<Option<String>>,
    /// All services.
    names: Vec<Option<String>>,
}

impl Fleet {
    /// Whether a reload may begin: one at a time.
    pub fn may_reload(&self) -> bool {
        !self.is_ending && matches!(self.reload, Reload::None) && self.upgrades.is_idle()
    }

    pub fn begin_reload(&mut self, stops: &StopSignals) {
        // One is enough for all that have asked before.
        self.waiting = std::mem::take(&mut self.asked);
        systemd::reloading();
        let Some(read_again) = &self.read_again else {
            let names = self.services.iter().map(|one| one.identity.name.clone());
            return self.reread(admin::Reload::default(), names.collect());
        };
        self.reload = Reload::Starting(match read_again() {
            Ok(services) => Box::pin(self.starting(services, stops.clone())),
            Err(error) => Box::pin(async { Err(error) }),
        });
    }

    pub async fn go_on_with_reload(&mut self, done: Done, stops: &StopSignals) {
        let reload = std::mem::replace(&mut self.reload, Reload::None);
        let mut outcome = match reload {
            Reload::Rereading(outcome, _) => outcome,
            Reload::None | Reload::Starting(_) => admin::Reload::default(),
        };
        match done {
            Done::Starting(Ok(changed)) => {
                let same = changed.same.clone();
                outcome.configuration_is_new(self.apply(changed, stops).await);
                self.reread(outcome, same);
            }
            Done::Starting(Err(error)) => {
                outcome.configuration_stays(&error);
                self.end_reload(&outcome);
            }
            Done::Rereading(outcomes) => {
                outcomes.into_iter().for_each(|one| outcome.add(one));
                self.end_reload(&outcome);
            }
        }
    }

    /// Has services read their components and certificates again.
    fn reread(&mut self, outcome: admin::Reload, names: Vec<Option<String>>) {
        let those = self.services.iter();
        let those = those.filter(|service| names.contains(&service.identity.name));
        let orders = those.map(|service| service.orders.clone()).collect();
        self.reload = Reload::Rereading(outcome, Box::pin(ask(orders, Order::Reload)));
    }

    fn end_reload(&mut self, outcome: &admin::Reload) {
        for reply in self.waiting.drain(..) {
            answer(reply, outcome.clone());
        }
        if !self.is_ending {
            systemd::ready();
        }
    }

    /// Starts what has changed.
    fn starting(
        &self,
        services: Services,
        stops: StopSignals,
    ) -> impl Future<Output = anyhow::Result<Changed>> + use<> {
        let Services { admin, plans } = services;
        let names: Vec<_> = plans.iter().map(|plan| plan.name.clone()).collect();
        let (same, others): (Vec<_>, Vec<_>) =
            plans.into_iter().partition(|plan| self.is_same(plan));
        let same = same.into_iter().map(|plan| plan.name).collect();
        let others: Vec<_> = others
            .into_iter()
            .map(|plan| (self.orders_of(plan.name()), self.prepare(plan)))
            .collect();
        let admin = (admin != self.admin_source).then_some(admin);
        async move {
            let admin = match admin {
                Some(source) => Some((Admin::start(source.as_ref()).await?, source)),
                None => None,
            };
            let mut starting = Vec::new();
            for (old, service) in others {
                starting.push(with_sockets(service, old).await?);
            }
            let started = start_all(starting, &stops).await.map_err(reason)?;
            Ok(Changed {
                admin,
                started: started.ok_or_else(|| anyhow!("a signal has stopped it"))?,
                same,
                names,
            })
        }
    }

    /// Whether such a service runs already. One that has ended by itself starts again.
    fn is_same(&self, plan: &Plan) -> bool {
        let mut services = self.services.iter();
        services.any(|service| {
            service.identity.arguments == plan.arguments
                && service.readiness() != admin::Readiness::Ending
        })
    }

    fn orders_of(&self, name: Option<&str>) -> Option<mpsc::Sender<Order>> {
        let position = self.position(name);
        position.map(|position| self.services[position].orders.clone())
    }

    /// Lets what has started take its place. Nothing fails from here on.
    async fn apply(&mut self, changed: Changed, stops: &StopSignals) -> Changes {
        let mut changes = Changes::default();
        if let Some((admin, source)) = changed.admin {
            self.admin = admin;
            self.admin_source = source;
        }
        for service in changed.started {
            self.replace(service, stops, &mut changes).await;
        }
        self.end_others(&changed.names, &mut changes).await;
        let place = |service: &Running| {
            let mut names = changed.names.iter();
            names.position(|name| *name == service.identity.name)
        };
        self.services.sort_by_key(place);
        changes
    }

    /// Lets a service take the place of the one with its name, if there is one.
    async fn replace(&mut self, mut started: Started, stops: &StopSignals, changes: &mut Changes) {
        let Identity { name, sources, .. } = started.identity.clone();
        let Some(position) = self.position(name.as_deref()) else {
            changes.started.extend(name);
            return self.run(started, stops);
        };
        let old = self.services.remove(position);
        if started.identity.keeps_old_settings_of(&old.identity) {
            changes.unapplied.extend(name.clone());
        }
        started.life.inherit(old.hand_over(sources).await);
        changes.changed.extend(name);
        self.run(started, stops);
        old.stops_accepting().await;
        self.leave(old);
    }

    /// Ends the services that have none of these names.
    async fn end_others(&mut self, names: &[Option<String>], changes: &mut Changes) {
        let is_gone = |service: &mut Running| !names.contains(&service.identity.name);
        let gone: Vec<_> = self.services.extract_if(.., is_gone).collect();
        for service in gone {
            // It may have ended already.
            let _ = service.orders.send(Order::Stop).await;
            changes.ended.extend(service.identity.name.clone());
            self.counted.remove(&service.identity.name);
            self.leave(service);
        }
    }

    fn leave(&mut self, old: Running) {
        match old.has_ended() {
            true => self.keep_counts(old),
            false => self.leaving.push(old),
        }
    }
}

/// Gives a service what it shares with the one whose place it takes.
async fn with_sockets(
    mut service: Starting,
    old: Option<mpsc::Sender<Order>>,
) -> anyhow::Result<Starting> {
    if let Some(orders) = old {
        let (reply, lent) = oneshot::channel();
        // A service that has ended has nothing to lend.
        let _ = orders.send(Order::Lend(reply)).await;
        let Loan {
            mut listeners,
            tickets,
        } = lent.await.unwrap_or_else(|_| Ok(Loan::default()))?;
        listeners.retain(|lent| service.plan.listen.sources.contains(&lent.source));
        service.place.kept = Kept { listeners, tickets };
    }
    Ok(service)
}

fn reason(error: ServeError) -> anyhow::Error {
    match error {
        ServeError::Prepare(error) | ServeError::Run(error) => error,
        ServeError::Listen(error) => error.into(),
    }
}

/// The names of the services that a reload has changed.
#[derive(Default)]
struct Changes {
    started: Vec<String>,
    changed: Vec<String>,
    ended: Vec<String>,
    /// Those whose listeners stay, with settings that cannot be changed.
    unapplied: Vec<String>,
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
        if !self.unapplied.is_empty() {
            let names = self.unapplied.join(" ");
            write!(
                f,
                "; --backlog and TCP options of listeners that stay require a restart: {names}"
            )?;
        }
        Ok(())
    }
}
