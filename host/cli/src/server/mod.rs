//! A server, from its flags to its end: what `evconn serve` and `evconn echo` have in common.

mod admin;
mod app;
pub mod capacity;
mod component;
mod reload;

use crate::admin::Admin;
use crate::args::{AdminArgs, CacheArgs, IngressArgs, ListenArgs, Part, ServerArgs};
#[cfg(unix)]
use crate::loading;
use crate::machine::{self, Needs};
use crate::sys::signals::{Signals, StopSignals};
use crate::sys::{Importance, systemd, threads};
use crate::traces::{Collector, Exporter, Exporting};
use admin::Administrator;
use anyhow::Context;
use app::{App, Ready};
pub use component::{Code, Component, entered, filtered};
use evconn::{AcceptRate, EntryPoint, Error, Limits, Served, Server, ServerBuilder, Service};
use reload::Reloads;
pub use reload::reload_certificate;
use std::ffi::OsString;
use std::fmt;
use std::io::Write;
use std::num::NonZero;
use std::sync::Arc;
use tokio::sync::Notify;
use tokio::task::JoinSet;

const CANNOT_WRITE: &str = "cannot write to standard output";

/// What is served, where, and how.
pub struct Plan {
    /// The name of the service, if it is one of several.
    pub name: Option<String>,
    /// The command line that says the same, for the processes of this server.
    pub arguments: Vec<OsString>,
    pub component: Component,
    /// What is called for a connection, if that was chosen.
    pub entry_point: Option<EntryPoint>,
    pub listen: ListenArgs,
    pub admin: AdminArgs,
    pub cache: CacheArgs,
    pub ingress: IngressArgs,
    pub server: ServerArgs,
}

/// A server that listens, and what it needs besides.
struct Bound {
    admin: Admin,
    app: App,
    server: Server,
    collector: Option<Collector>,
}

/// Why a server did not start, or ended.
pub enum ServeError {
    /// Before anything was bound.
    Prepare(anyhow::Error),
    /// A source could not be listened on.
    Listen(Error),
    /// Later.
    Run(anyhow::Error),
}

impl fmt::Display for ServeError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prepare(error) | Self::Run(error) => write!(f, "{error:#}"),
            Self::Listen(error) => error.fmt(f),
        }
    }
}

impl Plan {
    pub fn name(&self) -> Option<&str> {
        self.name.as_deref()
    }

    /// Says which service an error is about, if there are several.
    pub fn blame(&self, error: anyhow::Error) -> anyhow::Error {
        match &self.name {
            Some(name) => error.context(format!("service `{name}`")),
            None => error,
        }
    }

    /// Starts to send traces, if they are sent anywhere. The service is named after its component, if it has no name.
    pub fn traces(&self) -> anyhow::Result<Option<(Exporter, Exporting)>> {
        let Some(endpoint) = &self.server.traces.endpoint else {
            return Ok(None);
        };
        let name = match self.name() {
            Some(name) => name.to_owned(),
            None => self.component.name(),
        };
        Exporter::start(endpoint, &name).map(Some)
    }

    /// Serves until a signal stops it. Returns `None` if that was before it served.
    pub async fn serve(self) -> Result<Option<Served>, ServeError> {
        let watching = Signals::watch().context("cannot handle signals");
        let signals = watching.map_err(ServeError::Prepare)?;
        let plan = Arc::new(self);
        let Some(bound) = Self::start(&plan, &signals.stops).await? else {
            tracing::info!("stopped by a signal before serving");
            return Ok(None);
        };
        let served = plan.run(bound, signals).await;
        served.map(Some).map_err(ServeError::Run)
    }

    /// Prepares and binds. Returns `None` if a signal arrives meanwhile.
    async fn start(plan: &Arc<Self>, stops: &StopSignals) -> Result<Option<Bound>, ServeError> {
        let preparing = async {
            let opening = Arc::clone(plan);
            // On other threads, so that signals are handled meanwhile.
            let code = threads::run(move || opening.component.open()).await??;
            let admin = Admin::start(plan.admin.source.as_ref()).await?;
            let compiled = plan.compile(&code, Importance::Normal).await?;
            let plan = Arc::clone(plan);
            let (app, builder) = threads::run(move || plan.prepare(code, &compiled)).await??;
            anyhow::Ok((admin, app, builder))
        };
        let Some(prepared) = stops.unless_stopped(preparing).await else {
            return Ok(None);
        };
        let (admin, app, builder) = prepared.map_err(ServeError::Prepare)?;
        let (collector, builder) = plan.server.traces.collect(builder);
        let binding = plan.listen.bind(builder);
        let bound = stops.unless_stopped_for_long(binding).await.transpose();
        let Some(server) = bound.map_err(ServeError::Listen)? else {
            return Ok(None);
        };
        let warmed_up = stops.unless_stopped(server.warmed_up()).await;
        let warmed_up = warmed_up.transpose();
        let is_warm = warmed_up.map_err(|error| ServeError::Prepare(error.into()))?;
        Ok(is_warm.map(|()| Bound {
            admin,
            app,
            server,
            collector,
        }))
    }

    /// Has the component compiled, if that is done elsewhere.
    async fn compile(&self, code: &Code, importance: Importance) -> anyhow::Result<Ready> {
        capacity::raise_descriptor_limit();
        #[cfg(unix)]
        return Ready::load(self.request(code, importance)).await;
        #[cfg(not(unix))]
        let _ = importance;
        #[cfg(not(unix))]
        return Ok(Ready(code.clone()));
    }

    /// Reads files, loads the component and reserves memory for its instances, which takes time. Bad
    /// input is found here, before anything is bound.
    fn prepare(&self, code: Code, ready: &Ready) -> anyhow::Result<(App, ServerBuilder)> {
        let limits = self.fit(self.server.limits(), 1);
        let host = self
            .server
            .host(&limits, Part::ALL)
            .cache(self.cache.cache())
            .workers(self.server.workers())
            .cpu_share(self.server.cpu_share());
        let app = App {
            host: ready.host(host)?.build()?,
            code,
            entry_point: self.entry_point,
            ingress: self.ingress.ingress()?,
            grants: self.server.grants()?,
        };
        let service = app.service(ready)?;
        let mut builder = Server::builder(&service).limits(self.fit_service(limits, &service));
        if let Some(count) = self.server.accept_rate() {
            builder = builder.accept_rate(AcceptRate::per_second(count));
        }
        if let Some(time) = self.server.life.shutdown_after_idle {
            builder = builder.shutdown_after_idle(time);
        }
        Ok((app, self.server.configure(builder, Part::ALL)?))
    }

    /// Lowers the number of connections further if each instance has several memories.
    fn fit_service(&self, limits: Limits, service: &Service) -> Limits {
        let limits = self.fit(limits, service.memories());
        let pooled = self.connections_of(limits, service.max_instances());
        capacity::fit_pools(limits, pooled, service.memories())
    }

    /// Returns how many connections a process supports whose pool has so many instances.
    fn connections_of(&self, limits: Limits, pooled: usize) -> usize {
        let most = self.instances_of(limits);
        match pooled < most {
            true => pooled,
            false => limits.max_connections,
        }
    }

    /// Returns how many instances a process has at most for these connections.
    fn instances_of(&self, limits: Limits) -> usize {
        let policy = self.server.policy(self.largest_part());
        let most = policy.max_instances.map_or(usize::MAX, NonZero::get);
        most.min(limits.max_connections)
    }

    /// The part of the instances that no process exceeds.
    fn largest_part(&self) -> Part {
        Part {
            number: 0,
            of: self.server.processes_that_serve(),
        }
    }

    /// Lowers the number of connections to what this machine supports.
    pub fn fit(&self, limits: Limits, memories_each: usize) -> Limits {
        capacity::fit(limits, self.needs(&limits, memories_each))
    }

    /// Returns how many connections one process supports, within these limits.
    pub fn possible_of_one(&self, limits: Limits, memories_each: usize) -> usize {
        let needs = Needs {
            processes: 1,
            ..self.needs(&limits, memories_each)
        };
        let host = self.server.host(&limits, self.largest_part());
        let pooled = self.connections_of(limits, host.max_instances_with(memories_each));
        machine::fit(needs).max_connections.min(pooled)
    }

    /// A process may have its share of the connections, a quarter of that and 8 more, since they do not spread evenly.
    pub fn share(max_connections: usize, processes: usize) -> usize {
        let share = max_connections.div_ceil(processes.max(1));
        (share + share / 4 + 8).min(max_connections)
    }

    /// Returns what a loader needs to know in order to compile this code.
    #[cfg(unix)]
    pub fn request<'a>(&'a self, code: &'a Code, importance: Importance) -> loading::Request<'a> {
        loading::Request {
            arguments: self.arguments.clone(),
            inputs: code.inputs(),
            limits: &self.server.processes.compile,
            instances: self.instances_of_one(),
            importance,
        }
    }

    /// Returns how many instances of one memory a process may have.
    fn instances_of_one(&self) -> usize {
        let limits = self.server.limits();
        let needs = self.needs(&limits, 1);
        let max_connections = Self::share(machine::fit(needs).max_connections, needs.processes);
        let limits = Limits {
            max_connections,
            ..limits
        };
        self.possible_of_one(limits, 1)
            .min(self.instances_of(limits))
    }

    fn needs(&self, limits: &Limits, memories_each: usize) -> Needs {
        let sources = self.listen.sources.len();
        self.server.needs(limits, sources, memories_each)
    }

    async fn run(self: &Arc<Self>, bound: Bound, signals: Signals) -> anyhow::Result<Served> {
        let Bound {
            admin,
            app,
            server,
            collector,
        } = bound;
        let exporting = collector.zip(self.traces()?);
        let handle = server.handle();
        let drain = Arc::new(Notify::new());
        let shutdown = signals.stops.shutdown(Arc::clone(&drain));
        let shutdown = self.server.life.apply(shutdown);
        let listeners = server.listeners().iter();
        let listeners: Vec<_> = listeners
            .map(|listener| listener.name().to_owned())
            .collect();
        announce(listeners.iter().map(|name| (name.as_str(), None)))?;
        systemd::ready();
        tokio::spawn(systemd::stay_alive());
        let reloads = Reloads::start(signals.hangups, Arc::clone(self), app, handle.clone());
        let mut administrating = JoinSet::new();
        let administrator = Administrator::new(handle.clone(), listeners, reloads, drain);
        administrating.spawn(administrator.run(admin));
        tokio::spawn(async move {
            handle.stopping().await;
            systemd::stopping();
        });
        if let Some((collector, (exporter, _))) = &exporting {
            let (collector, exporter) = (collector.clone(), exporter.clone());
            administrating.spawn(collector.run(move |batch| exporter.export(batch)));
        }
        let served = server.run(shutdown).await;
        administrating.shutdown().await;
        let served = served?;
        tracing::info!("{served}");
        if let Some((collector, (exporter, exporting))) = exporting {
            collector
                .take()
                .into_iter()
                .for_each(|rest| exporter.export(rest));
            drop(exporter);
            exporting.end().await;
        }
        Ok(served)
    }
}

/// Prints a line for each listener, with the name of its service if there are several: whoever started the server may
/// wait for them.
pub fn announce<'a>(
    listeners: impl Iterator<Item = (&'a str, Option<&'a str>)>,
) -> anyhow::Result<()> {
    let mut stdout = std::io::stdout().lock();
    for (name, service) in listeners {
        let service = service.map(|service| format!(" for {service}"));
        let service = service.unwrap_or_default();
        writeln!(stdout, "Listening on {name}{service}").context(CANNOT_WRITE)?;
    }
    stdout.flush().context(CANNOT_WRITE)
}
