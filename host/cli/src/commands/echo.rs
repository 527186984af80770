//! `evconn echo`: the demo of libevent's manual, as two components.

use crate::args::{CacheArgs, IngressArgs, ListenArgs, seconds};
use crate::log;
use crate::machine::Needs;
use crate::server::{capacity, reload};
use crate::sys::signals::Signals;
use clap::Args;
use evconn::{Error, Host, Ingress, Limits, ListenSource, Listener, Service, guests};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

/// Send every byte back to whoever sent it.
///
/// The connections are accepted by one WebAssembly component and answered by another, of which each
/// connection has an instance of its own. Ctrl-C or SIGTERM stops accepting and lets open
/// connections finish; a second one ends them. SIGHUP reads the certificate again, if there is one;
/// SIGUSR1 and SIGUSR2 do nothing.
#[derive(Args)]
pub struct Echo {
    /// The port to listen on, from 0 to 65535; with 0 the system chooses a free one.
    #[arg(
        default_value = "9876",
        allow_hyphen_values = true,
        conflicts_with = "sources"
    )]
    port: String,
    /// The IPv4 or IPv6 address to listen on.
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDR", conflicts_with = "sources")]
    address: IpAddr,
    /// How many seconds open connections may take to finish after the first signal.
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    grace: Duration,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ingress: IngressArgs,
}

impl Echo {
    /// Serve until a signal says to stop.
    pub async fn run(self, signals: Signals) -> anyhow::Result<ExitCode> {
        let Some(port) = port(&self.port) else {
            println!("Invalid port");
            return Ok(ExitCode::FAILURE);
        };
        let sources = match self.listen.sources.is_empty() {
            true => vec![ListenSource::Address(SocketAddr::new(self.address, port))],
            false => self.listen.sources.clone(),
        };
        let command = Arc::new(self);
        let Some(started) = Self::start(Arc::clone(&command), &signals, &sources).await? else {
            tracing::info!("ended by a signal, before it served");
            return Ok(ExitCode::SUCCESS);
        };
        let (
            Ready {
                ingress,
                service,
                limits,
                ..
            },
            listeners,
        ) = started;
        let listeners = match listeners {
            Ok(listeners) => listeners,
            Err(error) => {
                log::flush();
                eprintln!("Couldn't create listener: {error}");
                return Ok(ExitCode::FAILURE);
            }
        };
        ListenArgs::announce(&listeners)?;
        let shutdown = signals.shutdown().grace(command.grace);
        reload::on_hangup(signals.hangups, ingress, None);
        let served = evconn::serve_all(listeners, service, limits, shutdown).await?;
        tracing::info!("{served}");
        Ok(ExitCode::SUCCESS)
    }

    /// Nothing, if a signal has said meanwhile that it is to end.
    async fn start(
        command: Arc<Self>,
        signals: &Signals,
        sources: &[ListenSource],
    ) -> anyhow::Result<Option<(Ready, Result<Vec<Listener>, Error>)>> {
        let preparing = {
            let (command, count) = (Arc::clone(&command), sources.len());
            // Signals are heard meanwhile.
            tokio::task::spawn_blocking(move || command.prepare(count))
        };
        let Some(prepared) = signals.unless_ended(preparing).await else {
            return Ok(None);
        };
        let ready = prepared??;
        let opening = command.listen.open(&ready.host, sources);
        let opened = signals.unless_ended_for_long(opening).await;
        Ok(opened.map(|listeners| (ready, listeners)))
    }

    /// What takes time: compile, and make room for the instances.
    fn prepare(&self, listeners: usize) -> anyhow::Result<Ready> {
        let limits = Limits::default();
        let needs = Needs {
            max_connections: limits.max_connections,
            descriptors_each: 1,
            memories_each: 1,
            listeners,
            workers: capacity::default_workers(),
        };
        let limits = capacity::fit("the limit of connections", limits, needs);
        let ingress = self.ingress.ingress()?;
        let host = Host::builder()
            .limits(&limits)
            .cache(self.cache.cache())
            .build()?;
        let service = Service::new(&host, guests::ECHO)?.with_ingress(ingress.clone());
        Ok(Ready {
            host,
            ingress,
            service,
            limits,
        })
    }
}

/// All that it takes but listeners.
struct Ready {
    host: Host,
    ingress: Ingress,
    service: Service,
    limits: Limits,
}

fn port(text: &str) -> Option<u16> {
    // `parse` would take a plus sign as well.
    let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    digits.then(|| text.parse().ok()).flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_port_is_a_decimal_number_up_to_65535() {
        assert_eq!(port("0"), Some(0));
        assert_eq!(port("65535"), Some(65535));
        for text in ["", "abc", "-1", "+1", "0x50", "65536", "80 ", "٣"] {
            assert_eq!(port(text), None, "{text:?}");
        }
    }
}
