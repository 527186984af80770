//! `evconn echo`: the demo of libevent's manual, as two components.

use super::code::CacheArgs;
use super::edge::EdgeArgs;
use super::listen::Listen;
use super::log;
use super::reload;
use super::values::seconds;
use clap::Args;
use evconn::{Host, Limits, ListenSource, Service, Shutdown, guests};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// Send every byte back to whoever sent it.
///
/// The connections are accepted by one WebAssembly component and answered by another, of which each
/// connection has an instance of its own. Ctrl-C or SIGTERM stops accepting and lets open
/// connections finish; a second one ends them.
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
    listen: Listen,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    edge: EdgeArgs,
}

impl Echo {
    /// Serve until a signal says to stop.
    pub async fn run(self) -> anyhow::Result<ExitCode> {
        let Some(port) = port(&self.port) else {
            println!("Invalid port");
            return Ok(ExitCode::FAILURE);
        };
        let shutdown = Shutdown::on_signals()?.grace(self.grace);
        let edge = self.edge.edge()?;
        if self.edge.has_certificate() {
            reload::on_hangup(edge.clone(), None)?;
        }
        let host = Host::builder().cache(self.cache.cache()).build()?;
        let service = Service::new(&host, guests::ECHO)?.with_edge(edge);
        let sources = match self.listen.sources.is_empty() {
            true => &[ListenSource::Address(SocketAddr::new(self.address, port))][..],
            false => &self.listen.sources,
        };
        let listeners = match self.listen.open(&host, sources).await {
            Ok(listeners) => listeners,
            Err(error) => {
                log::flush();
                eprintln!("Couldn't create listener: {error}");
                return Ok(ExitCode::FAILURE);
            }
        };
        Listen::announce(&listeners)?;
        let served = evconn::serve_all(listeners, service, Limits::default(), shutdown).await?;
        tracing::info!("{served}");
        Ok(ExitCode::SUCCESS)
    }
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
