//! SIGUSR2: another version of this program takes the place of this process, with the listening sockets of all
//! services. If it cannot, everything stays as it is.

use super::running::ask;
use super::starting::{Started, Starting, start_all};
use super::{Fleet, Order, Origin, Services};
use crate::admin::{Admin, Readiness};
use crate::args::NamedSource;
use crate::control::AboutSocket;
use crate::server::ServeError;
use crate::supervisor::life::{Estate, Loan};
use crate::supervisor::start::Lent;
use crate::supervisor::upgrade::{Borrowed, Predecessor, Successor};
use crate::sys::program::Program;
use crate::sys::signals::{self, Signals, StopSignals};
use crate::sys::systemd;
use anyhow::{Context, bail};
use evconn::Opened;
use futures_util::FutureExt;
use rustix::process::Signal;
use std::future::pending;
use std::io;
use tokio::task::JoinHandle;

/// The upgrades of a fleet.
pub struct Upgrades {
    program: Program,
    asked: signals::Upgrades,
    state: State,
    /// The end of a new process that is not needed.
    ending: Option<JoinHandle<()>>,
}

enum State {
    None,
    /// A new process is starting.
    UnderWay(Box<Successor>),
    /// The process with this id has taken the place of this one.
    Done(u32),
}

/// What has happened to an upgrade.
pub enum Happened {
    /// SIGUSR2 asks for one.
    Asked,
    /// The new process has taken these listeners, or has failed.
    Outcome(anyhow::Result<Vec<Borrowed>>),
}

impl Upgrades {
    pub fn new(program: Program) -> anyhow::Result<Self> {
        Ok(Self {
            program,
            asked: signals::Upgrades::watch().context("cannot handle signals")?,
            state: State::None,
            ending: None,
        })
    }

    /// Waits for what happens next. The future is cancel-safe.
    pub async fn next(&mut self) -> Happened {
        let outcome = async {
            match &mut self.state {
                State::UnderWay(successor) => successor.ready().await,
                State::None | State::Done(_) => pending().await,
            }
        };
        tokio::select! {
            Some(()) = self.asked.next() => Happened::Asked,
            outcome = outcome => Happened::Outcome(outcome),
        }
    }

    /// Whether none is under way, and none was successful.
    pub fn is_idle(&self) -> bool {
        matches!(self.state, State::None)
    }

    /// The new process takes the place of this one.
    fn complete(&mut self) -> Option<Box<Successor>> {
        match std::mem::replace(&mut self.state, State::None) {
            State::UnderWay(successor) => {
                self.state = State::Done(successor.id());
                Some(successor)
            }
            other => {
                self.state = other;
                None
            }
        }
    }

    /// Ends the new process if it has not taken the place of this one yet.
    pub fn give_up(&mut self) {
        match std::mem::replace(&mut self.state, State::None) {
            State::UnderWay(successor) => self.ending = Some(tokio::spawn(successor.end())),
            other => self.state = other,
        }
    }

    /// Waits until no new process is left that is not needed.
    pub async fn end(mut self) {
        self.give_up();
        if let Some(ending) = self.ending.take() {
            // It does not panic, and nobody aborts it.
            let _ = ending.await;
        }
    }
}

impl Fleet {
    pub async fn go_on_with_upgrade(&mut self, happened: Happened, signals: &mut Signals) {
        let outcome = match happened {
            Happened::Asked => return self.begin_upgrade().await,
            Happened::Outcome(Ok(taken)) => self.be_replaced(&taken, signals).await,
            Happened::Outcome(Err(error)) => Err(error),
        };
        if let Err(error) = outcome {
            self.upgrades.give_up();
            log_failure(&error);
        }
    }

    async fn begin_upgrade(&mut self) {
        match &self.upgrades.state {
            // Nobody serves any more whose place could be taken.
            State::None if self.is_ending => return,
            State::None => {}
            State::UnderWay(successor) => {
                let id = successor.id();
                return tracing::warn!("SIGUSR2 is ignored: process {id} is taking over already");
            }
            State::Done(id) => {
                return tracing::warn!("SIGUSR2 is ignored: process {id} has taken over already");
            }
        }
        match self.try_upgrade().await {
            Ok(successor) => {
                tracing::info!("upgrade: process {} is starting", successor.id());
                self.upgrades.state = State::UnderWay(Box::new(successor));
            }
            Err(error) => log_failure(&error),
        }
    }

    async fn try_upgrade(&self) -> anyhow::Result<Successor> {
        if std::process::id() == 1 {
            bail!(
                "process 1 of a container cannot be replaced: start the new version in another container (with --reuse-port, both can listen on one address), and then stop this one"
            );
        }
        let mut services = self.services.iter();
        if services.any(|service| service.identity.reads_standard_input) {
            bail!("standard input can be read only once: serve a file to upgrade");
        }
        let mut loans = Vec::new();
        for service in &self.services {
            let lent = ask(vec![service.orders.clone()], Order::Lend).await;
            // One that has ended lends nothing.
            let lent = lent
                .into_iter()
                .next()
                .unwrap_or_else(|| Ok(Loan::default()));
            let lent = lent.context("cannot pass the listening sockets on")?;
            loans.push((service.identity.name.clone(), lent));
        }
        let admin = self.lend_admin();
        let admin = admin.context("cannot pass the socket of the admin endpoint on")?;
        Successor::start(&self.upgrades.program, loans, admin)
    }

    fn lend_admin(&self) -> io::Result<Vec<Lent>> {
        let Some(source) = &self.admin_source else {
            return Ok(Vec::new());
        };
        let about = AboutSocket {
            inherited: false,
            port: None,
        };
        let lend = |(socket, file)| Lent {
            source: NamedSource::from(source.clone()),
            name: source.to_string(),
            file,
            sockets: vec![(socket, about)],
        };
        Ok(self.admin.lend()?.into_iter().map(lend).collect())
    }

    /// Lets the new process serve, and finishes the open connections.
    async fn be_replaced(
        &mut self,
        taken: &[Borrowed],
        signals: &mut Signals,
    ) -> anyhow::Result<()> {
        self.check_that_all_serve()?;
        let Some(mut successor) = self.upgrades.complete() else {
            return Ok(());
        };
        let id = successor.id();
        systemd::replaced_by(id);
        for service in &self.services {
            let is_taken =
                |source: &&NamedSource| taken.contains(&Borrowed::new(service.name(), source));
            let kept = service.identity.sources.iter().filter(is_taken);
            leave_files(service.hand_over(kept.cloned().collect()).await);
        }
        if taken.iter().any(Borrowed::is_admin) {
            self.admin.leave_files();
        }
        self.admin = Admin::none();
        successor.take_over().await;
        tracing::info!(
            "upgrade: process {id} serves from now on, and this one finishes its open connections"
        );
        // What has arrived here meanwhile was meant for whoever serves.
        if signals.stops.have_stopped() {
            successor.signal(Signal::TERM);
        }
        if signals.hangups.next().now_or_never().is_some() {
            successor.signal(Signal::HUP);
        }
        tokio::spawn(successor.watch());
        Ok(())
    }

    /// Checks that no service has begun to shut down since it has lent its listeners.
    fn check_that_all_serve(&self) -> anyhow::Result<()> {
        let State::UnderWay(successor) = &self.upgrades.state else {
            return Ok(());
        };
        let has_lent = |name: Option<&str>| successor.borrows_from(name);
        let mut lenders = self
            .services
            .iter()
            .filter(|service| has_lent(service.name()));
        if lenders.any(|service| service.readiness() == Readiness::Ending) {
            bail!("the server is shutting down");
        }
        Ok(())
    }
}

fn log_failure(error: &anyhow::Error) {
    tracing::error!("upgrade failed, this process continues to serve: {error:#}");
}

/// Leaves the files of Unix sockets to the new process, which has the sockets.
fn leave_files(estate: Estate) {
    let Estate(listeners) = estate;
    let sockets = listeners.into_iter();
    for opened in sockets.flat_map(|named| named.listening.sockets) {
        if let Opened::Unix {
            file: Some(file), ..
        } = opened
        {
            file.leave();
        }
    }
}

impl Fleet {
    /// Starts the services in the place of those of another process. Returns `None` if a signal arrives meanwhile.
    pub async fn start_after(
        mut predecessor: Predecessor,
        services: Services,
        origin: Origin,
        stops: &StopSignals,
    ) -> Result<Option<Self>, ServeError> {
        let starting = Self::start_with(&mut predecessor, services, origin, stops).await;
        let (mut fleet, mut started) = match starting {
            Ok(Some(started)) => started,
            Ok(None) => return Ok(None),
            Err(error) => {
                predecessor.fail(&error).await;
                return Err(error);
            }
        };
        let taken = predecessor.take_over().await.map_err(ServeError::Prepare)?;
        for (name, listening) in taken.listeners {
            let mut services = started.iter_mut();
            if let Some(service) = services.find(|service| service.identity.name == name) {
                service.life.inherit(Estate(vec![listening]));
            }
        }
        if !taken.admin.is_empty() {
            fleet.admin = Admin::of(taken.admin).map_err(ServeError::Run)?;
        }
        for (listener, service) in started.iter().flat_map(|service| service.life.listeners()) {
            tracing::info!(service, "listening on {listener}");
        }
        for service in started {
            fleet.run(service, stops);
        }
        Ok(Some(fleet))
    }

    async fn start_with(
        predecessor: &mut Predecessor,
        services: Services,
        origin: Origin,
        stops: &StopSignals,
    ) -> Result<Option<(Self, Vec<Started>)>, ServeError> {
        let Services { admin, plans } = services;
        let kept = predecessor.share_out(&plans);
        let kept = kept.map_err(ServeError::Prepare)?;
        let lends_admin = predecessor.share_admin(admin.as_ref());
        let lends_admin = lends_admin.map_err(ServeError::Prepare)?;
        // The old process answers probes until this one serves.
        let new = admin.as_ref().filter(|_| !lends_admin);
        let endpoint = Admin::start(new).await.map_err(ServeError::Prepare)?;
        let fleet = Self::new(endpoint, admin, origin).map_err(ServeError::Prepare)?;
        let starting = plans.into_iter().zip(kept).map(|(plan, kept)| {
            let mut starting: Starting = fleet.prepare(plan);
            starting.place.kept = kept;
            starting
        });
        let starting = start_all(starting.collect(), stops);
        let started = tokio::select! {
            started = starting => started?,
            error = predecessor.end() => return Err(ServeError::Prepare(error)),
        };
        Ok(started.map(|started| (fleet, started)))
    }
}
