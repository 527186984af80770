//! `evconn echo`: the echo server of libevent's manual, as two components.

use crate::args::{
    self, AccessLogArgs, AdminArgs, CacheArgs, IngressArgs, ListenArgs, ProcessArgs, ServerArgs,
    TraceArgs, seconds,
};
use crate::failure::Failure;
use crate::help::examples_of;
use crate::server::{Component, Plan, ServeError};
use clap::Args;
use evconn::{Error, ErrorCode, ListenSource};
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::process::ExitCode;
use std::time::Duration;

/// Send every byte back to its sender
///
/// One WebAssembly component accepts the connections, another one answers, in an instance for each
/// connection.
///
/// SIGTERM or Ctrl-C stops accepting and lets open connections finish; a second one resets them. SIGHUP
/// reads the certificate again, if there is one, for new connections. SIGUSR2 starts the evconn that is at the path of this one, and hands the listening
/// sockets over to it. SIGUSR1 is ignored.
#[derive(Args)]
#[command(after_long_help = examples_of("echo"))]
pub struct Echo {
    /// Port to listen on, from 0 to 65535; with 0 the system chooses a free one
    #[arg(
        default_value = "9876",
        allow_hyphen_values = true,
        conflicts_with = "sources"
    )]
    port: String,
    /// IPv4 or IPv6 address to listen on
    #[arg(long, default_value_t = IpAddr::V4(Ipv4Addr::UNSPECIFIED), value_name = "ADDR", conflicts_with = "sources")]
    address: IpAddr,
    /// Time for open connections to finish after the first signal
    #[arg(long, default_value = "10", value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true)]
    grace: Duration,
    #[command(flatten)]
    listen: ListenArgs,
    #[command(flatten)]
    admin: AdminArgs,
    #[command(flatten)]
    access_log: AccessLogArgs,
    #[command(flatten)]
    traces: TraceArgs,
    #[command(flatten)]
    cache: CacheArgs,
    #[command(flatten)]
    ingress: IngressArgs,
    #[command(flatten)]
    processes: ProcessArgs,
}

impl Echo {
    /// Serves until a signal stops it.
    pub async fn run(self) -> Result<ExitCode, Failure> {
        let Some(port) = port(&self.port) else {
            println!("Invalid port");
            return Ok(ExitCode::FAILURE);
        };
        let plan = self.plan(port);
        let sources = plan.listen.all();
        super::serve(plan).await.map_err(|error| match error {
            ServeError::Prepare(error) | ServeError::Run(error) => error.into(),
            ServeError::Listen(error) => not_listening(&error, &sources),
        })?;
        Ok(ExitCode::SUCCESS)
    }

    /// Returns `None` if the port is none.
    #[cfg(unix)]
    pub fn into_plan(self) -> Option<Plan> {
        port(&self.port).map(|port| self.plan(port))
    }

    fn plan(self, port: u16) -> Plan {
        let mut listen = self.listen;
        if listen.sources.is_empty() {
            let address = SocketAddr::new(self.address, port);
            listen.sources.push(ListenSource::Address(address).into());
        }
        let mut server: ServerArgs = args::defaults();
        server.life.grace = self.grace;
        server.processes = self.processes;
        server.access_log = self.access_log;
        server.traces = self.traces;
        Plan {
            name: None,
            arguments: std::env::args_os().collect(),
            component: Component::Echo,
            entry_point: None,
            listen,
            admin: self.admin,
            cache: self.cache,
            ingress: self.ingress,
            server,
        }
    }
}

/// The message of libevent's example. It names what failed only if there are several sources, or several
/// addresses of a name, and says what helps against a low port.
fn not_listening(error: &Error, sources: &[ListenSource]) -> Failure {
    let reason: &dyn std::fmt::Display = match error {
        Error::Listen { place, code }
            if sources == [place.clone()] && *code != ErrorCode::AccessDenied =>
        {
            code
        }
        error => error,
    };
    Failure::new(format_args!("Couldn't create listener: {reason}"), 1)
}

fn port(text: &str) -> Option<u16> {
    // `parse` would accept a plus sign as well.
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
