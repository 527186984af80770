//! The flags for how TCP sockets are set up.

use crate::sys::resources;
use clap::Args;
use clap::value_parser;
use evconn::ListenSource;
use evconn::sockets::{KeepAlive, TcpOptions};
use std::time::Duration;

/// Linux's defaults for probes of an idle connection.
const PROBE_INTERVAL: Duration = Duration::from_secs(75);
const PROBES: u32 = 9;

#[derive(Args, Debug)]
#[command(next_help_heading = "TCP")]
pub struct TcpArgs {
    /// Delay small segments to send them together (no TCP_NODELAY)
    #[arg(long)]
    tcp_delay: bool,
    /// Send a keep-alive probe to a peer that has been silent for this time [default: off]
    ///
    /// Further probes follow every 75 seconds, or at this interval if it is shorter. After 9 probes without an
    /// answer the connection is reset.
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u16).range(1..=32767))]
    tcp_keep_alive: Option<u16>,
    /// Let other processes listen on the same address (SO_REUSEPORT)
    ///
    /// They have to set it as well. The kernel distributes the connections.
    #[arg(long)]
    reuse_port: bool,
    /// Accept data in the first packet of a connection (TCP Fast Open), for up to QUEUE pending connections
    ///
    /// Linux requires bit 2 of net.ipv4.tcp_fastopen.
    #[arg(long, value_name = "QUEUE", value_parser = value_parser!(u32).range(1..))]
    tcp_fast_open: Option<u32>,
    /// Let the kernel hold a connection back until its peer sends data, for about this time [default: off]
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u16).range(1..))]
    tcp_defer_accept: Option<u16>,
}

impl TcpArgs {
    /// Warns of flags that have no effect.
    pub fn warn(&self, sources: &[ListenSource]) {
        for source in sources {
            let flags = self.without_effect(source);
            if !flags.is_empty() {
                tracing::warn!("flags without effect on {source}: {}", flags.join(", "));
            }
        }
        if self.tcp_fast_open.is_some() && !resources::accepts_fast_open() {
            tracing::warn!(
                "--tcp-fast-open has no effect: bit 2 of net.ipv4.tcp_fastopen is not set \
                 (sysctl -w net.ipv4.tcp_fastopen=3)"
            );
        }
    }

    /// Returns the given flags that do not apply to such a source.
    fn without_effect(&self, source: &ListenSource) -> Vec<&'static str> {
        let of_binding = [("--reuse-port", self.reuse_port)];
        let others = [
            ("--tcp-delay", self.tcp_delay),
            ("--tcp-keep-alive", self.tcp_keep_alive.is_some()),
            ("--tcp-fast-open", self.tcp_fast_open.is_some()),
            ("--tcp-defer-accept", self.tcp_defer_accept.is_some()),
        ];
        let concerned = match source {
            // Not a TCP socket.
            ListenSource::Unix(_) => [&of_binding[..], &others].concat(),
            // Bound already.
            ListenSource::Fd(_) | ListenSource::Systemd(_) => of_binding.to_vec(),
            _ => Vec::new(),
        };
        let given = concerned.into_iter().filter(|(_, is_given)| *is_given);
        given.map(|(flag, _)| flag).collect()
    }

    pub fn options(&self) -> TcpOptions {
        let seconds = |seconds: u16| Duration::from_secs(seconds.into());
        let mut options = TcpOptions::default();
        options.nodelay = !self.tcp_delay;
        options.keep_alive = self.tcp_keep_alive.map(|idle| KeepAlive {
            idle: seconds(idle),
            interval: seconds(idle).min(PROBE_INTERVAL),
            count: PROBES,
        });
        options.reuse_port = self.reuse_port;
        options.fast_open = self.tcp_fast_open;
        options.defer_accept = self.tcp_defer_accept.map(seconds);
        options
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct TcpCommand {
        #[command(flatten)]
        tcp: TcpArgs,
    }

    fn without_effect(source: &str) -> Vec<&'static str> {
        let all = "evconn --tcp-delay --reuse-port --tcp-keep-alive 5 --tcp-fast-open 9";
        let cli = TcpCommand::try_parse_from(all.split(' ')).expect("right");
        let source = source.parse().expect("a source");
        cli.tcp.without_effect(&source)
    }

    #[test]
    fn a_given_flag_has_no_effect_on_a_socket_of_another_kind_or_maker() {
        assert!(without_effect("127.0.0.1:0").is_empty());
        assert!(without_effect("localhost:0").is_empty());
        assert_eq!(without_effect("fd:3"), ["--reuse-port"]);
        assert_eq!(without_effect("systemd"), ["--reuse-port"]);
        let all = [
            "--reuse-port",
            "--tcp-delay",
            "--tcp-keep-alive",
            "--tcp-fast-open",
        ];
        assert_eq!(without_effect("unix:/run/app.sock"), all);
    }
}
