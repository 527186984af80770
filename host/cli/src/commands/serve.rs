//! `evconn serve`: any component that exports `evconn:tcp/handler`, as a TCP server.

use super::BAD_INPUT;
use crate::args::{
    AcceptArgs, CacheArgs, IngressArgs, LimitArgs, ListenArgs, PeerArgs, ReuseArgs,
    ServiceGrantArgs,
};
use crate::args::{seconds, some_seconds};
use crate::files::Input;
use crate::log;
use crate::machine::Needs;
use crate::server::{capacity, reload};
use crate::sys::signals::Signals;
use crate::sys::systemd;
use clap::Args;
use evconn::{Grants, Host, Ingress, Limits, Server, ServerBuilder, Service};
use std::num::NonZero;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Serve a component: each connection gets an instance of its own, and no instance more than is
/// granted here.
///
/// Ctrl-C or SIGTERM stops accepting and lets open connections finish; a second one resets them. One that
/// comes while it starts ends it. SIGHUP reads the component again, for new connections; SIGUSR1 and
/// SIGUSR2 do nothing. The exit status is 0 if every connection could finish, 1 if some had to be reset or
/// the listeners failed, and 2 if it could not start.
#[derive(Args)]
// Not `mut_arg`, which would move it to the end of the help.
#[command(mut_args(|arg| match arg.get_id() == "sources" {
    true => arg.required(true),
    false => arg,
}))]
pub struct Serve {
    /// The component: a binary, its text (WAT), or with --allow-precompiled what `evconn compile` made
    /// of it. With `-`, it is read from standard input, once: SIGHUP does not read it again.
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    #[command(flatten)]
    listen: ListenArgs,
    /// Let APP be compiled code. It runs unchecked, with all that this process may do: it has to be what
    /// `evconn compile` made. A file that other users than root can write to, or have, is refused.
    #[arg(long, help_heading = "Code")]
    allow_precompiled: bool,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    life: LifeArgs,
    #[command(flatten)]
    accept: AcceptArgs,
    #[command(flatten)]
    peers: PeerArgs,
    #[command(flatten)]
    reuse: ReuseArgs,
    /// How many threads serve connections: each connection stays with one of them. Default: one for each
    /// core.
    #[arg(long, value_name = "COUNT", value_parser = clap::value_parser!(u16).range(1..=1024), help_heading = "Instances")]
    workers: Option<u16>,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    ingress: IngressArgs,
    #[command(flatten)]
    grants: ServiceGrantArgs,
}

/// The flags for when it ends, and how.
#[derive(Args)]
#[command(next_help_heading = "Life")]
struct LifeArgs {
    /// How many seconds open connections may take to finish after the first signal.
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    grace: Duration,
    /// How many seconds to go on accepting after the first signal, so that a load balancer can notice.
    #[arg(long, default_value = "0", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    drain_delay: Duration,
    /// End when no connection has been open for so many seconds.
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds, allow_negative_numbers = true)]
    shutdown_after_idle: Option<Duration>,
}

impl Serve {
    /// Serve until a signal says to stop.
    pub async fn run(self, signals: Signals) -> anyhow::Result<ExitCode> {
        let command = Arc::new(self);
        let (app, server) = match Self::start(Arc::clone(&command), &signals).await {
            Ok(Some(started)) => started,
            Ok(None) => {
                tracing::info!("ended by a signal, before it served");
                return Ok(ExitCode::SUCCESS);
            }
            Err(error) => {
                log::flush();
                eprintln!("evconn: {error:#}");
                return Ok(ExitCode::from(BAD_INPUT));
            }
        };
        let handle = server.handle();
        let shutdown = signals
            .shutdown()
            .grace(command.life.grace)
            .drain_delay(command.life.drain_delay);
        reload::on_hangup(
            signals.hangups,
            app.ingress.clone(),
            Some((app, handle.clone())),
        );
        ListenArgs::announce(server.listeners())?;
        systemd::ready();
        tokio::spawn(async move {
            handle.stopping().await;
            systemd::stopping();
        });
        let served = server.run(shutdown).await?;
        tracing::info!("{served}");
        Ok(match served.is_clean() {
            true => ExitCode::SUCCESS,
            false => ExitCode::FAILURE,
        })
    }

    /// Everything that can be wrong is found here, and before anything is bound if that is possible.
    /// Nothing, if a signal has said meanwhile that it is to end.
    async fn start(command: Arc<Self>, signals: &Signals) -> anyhow::Result<Option<(App, Server)>> {
        let preparing = {
            let command = Arc::clone(&command);
            // Signals are heard meanwhile.
            tokio::task::spawn_blocking(move || command.prepare())
        };
        let Some(prepared) = signals.unless_ended(preparing).await else {
            return Ok(None);
        };
        let (app, builder) = prepared??;
        let binding = command.listen.bind(builder);
        let bound = signals.unless_ended_for_long(binding).await;
        Ok(bound.transpose()?.map(|server| (app, server)))
    }

    /// What takes time: compile the component, and make room for its instances.
    fn prepare(&self) -> anyhow::Result<(App, ServerBuilder)> {
        let limits = self.fit(self.limits.limits(), 1);
        let mut host = Host::builder().limits(&limits).cache(self.cache.cache());
        if let Some(count) = self.workers.map(usize::from).and_then(NonZero::new) {
            host = host.workers(count);
        }
        let app = App {
            host: host.build()?,
            input: Input::open(&self.app)?,
            allow_precompiled: self.allow_precompiled,
            ingress: self.ingress.ingress()?,
            grants: self.grants.grants()?,
        };
        let service = app.load()?;
        let mut builder = Server::builder(&service)
            .limits(self.fit_service(limits, &service))
            .peers(self.peers.filter()?)
            .reuse(self.reuse.reuse());
        if let Some(time) = self.life.shutdown_after_idle {
            builder = builder.shutdown_after_idle(time);
        }
        Ok((app, self.accept.apply(builder)))
    }

    /// Lower what there is no room for if each connection takes several memories.
    fn fit_service(&self, limits: Limits, service: &Service) -> Limits {
        let (asked, capacity) = (limits.max_connections, service.max_connections());
        let mut limits = self.fit(limits, service.memories());
        if capacity < limits.max_connections {
            limits.max_connections = capacity;
            tracing::warn!(
                "--max-connections {asked} was lowered to {capacity}: there is address space for so many \
                 instances with {} memories each",
                service.memories()
            );
        }
        limits
    }

    /// Lower what this machine has no room for.
    fn fit(&self, limits: Limits, memories_each: usize) -> Limits {
        let needs = Needs {
            max_connections: limits.max_connections,
            descriptors_each: match self.grants.has_network() {
                true => 2,
                false => 1,
            },
            memories_each,
            listeners: self.listen.sources.len(),
            workers: self
                .workers
                .map_or_else(capacity::default_workers, usize::from),
        };
        capacity::fit("--max-connections", limits, needs)
    }
}

/// The component that is served, and what goes with it.
#[derive(Clone)]
pub struct App {
    host: Host,
    input: Input,
    allow_precompiled: bool,
    ingress: Ingress,
    grants: Grants,
}

impl App {
    /// Read and compile it. It takes a while, and blocks.
    pub fn load(&self) -> anyhow::Result<Service> {
        let host = &self.host;
        let service = match self.allow_precompiled {
            true => self.input.load(
                // SAFETY: whoever gave the flag vouches for the file, as its help says.
                |path| unsafe { Service::from_precompiled_file(host, path) },
                // SAFETY: likewise for what was sent through the pipe.
                |bytes| unsafe { Service::from_precompiled(host, bytes) },
            ),
            false => self.input.load(
                |path| Service::from_file(host, path),
                |bytes| Service::new(host, bytes),
            ),
        };
        Ok(service?
            .with_ingress(self.ingress.clone())
            .with_grants(self.grants.clone()))
    }

    /// The same again, later.
    pub fn load_again(&self) -> anyhow::Result<Service> {
        match self.input {
            Input::File(_) => self.load(),
            Input::Stdin(_) => anyhow::bail!(
                "it was read from standard input, which ends: serve a file to have it read again"
            ),
        }
    }
}
