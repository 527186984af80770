//! `evconn serve`: any component that exports `evconn:tcp/handler`, as a TCP server.

use super::edge::EdgeArgs;
use super::grants::GrantArgs;
use super::limits::{LimitArgs, PeerArgs, ReuseArgs};
use super::listen::Listen;
use super::reload;
use super::systemd;
use super::values::seconds;
use clap::Args;
use evconn::{Edge, Grants, Host, Server, Service, Shutdown};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

/// Bad input, found before anything was served.
const BAD_INPUT: u8 = 2;

/// Serve a component: each connection gets an instance of its own, and no instance more than is
/// granted here.
///
/// Ctrl-C or SIGTERM stops accepting and lets open connections finish; a second one resets them.
/// SIGHUP reads the component again, for new connections. The exit status is 0 if every connection
/// could finish, 1 if some had to be reset or the listeners failed, and 2 if it could not start.
#[derive(Args)]
pub struct Serve {
    /// The component.
    #[arg(value_name = "APP.wasm")]
    app: PathBuf,
    #[command(flatten)]
    listen: Listen,
    #[command(flatten)]
    life: LifeArgs,
    #[command(flatten)]
    peers: PeerArgs,
    #[command(flatten)]
    reuse: ReuseArgs,
    #[command(flatten)]
    limits: LimitArgs,
    #[command(flatten)]
    edge: EdgeArgs,
    #[command(flatten)]
    grants: GrantArgs,
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
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    shutdown_after_idle: Option<Duration>,
}

impl Serve {
    /// Serve until a signal says to stop.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let (app, server, shutdown) = match self.start().await {
            Ok(started) => started,
            Err(error) => {
                eprintln!("evconn: {error:#}");
                return Ok(ExitCode::from(BAD_INPUT));
            }
        };
        let handle = server.handle();
        reload::on_hangup(app.edge.clone(), Some((app, handle.clone())))?;
        Listen::announce(server.listeners())?;
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
    async fn start(&self) -> anyhow::Result<(App, Server, Shutdown)> {
        let limits = self.limits.limits();
        let host = Host::builder()
            .max_connections(limits.max_connections)
            .build()?;
        let app = App {
            host,
            path: self.app.clone(),
            edge: self.edge.edge()?,
            grants: self.grants.grants()?,
        };
        let mut builder = Server::builder(&app.load()?)
            .limits(limits)
            .peers(self.peers.filter()?)
            .reuse(self.reuse.reuse());
        if let Some(time) = self.life.shutdown_after_idle {
            builder = builder.shutdown_after_idle(time);
        }
        // A signal up to here ends the process at once: nothing is open yet.
        let shutdown = Shutdown::on_signals()?
            .grace(self.life.grace)
            .drain_delay(self.life.drain_delay);
        let server = self.listen.bind(builder).await?;
        Ok((app, server, shutdown))
    }
}

/// The component that is served, and what goes with it.
#[derive(Clone)]
pub struct App {
    host: Host,
    path: PathBuf,
    edge: Edge,
    grants: Grants,
}

impl App {
    /// Read and compile it. It takes a while, and blocks.
    pub fn load(&self) -> anyhow::Result<Service> {
        let bytes = std::fs::read(&self.path)?;
        let service = Service::new(&self.host, &bytes)?;
        Ok(service
            .with_edge(self.edge.clone())
            .with_grants(self.grants.clone()))
    }
}
