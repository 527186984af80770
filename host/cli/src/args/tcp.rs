//! The flags for how TCP sockets are set up.

use clap::Args;
use clap::value_parser;
use evconn::ListenSource;
use evconn::sockets::{KeepAlive, TcpOptions};
use std::time::Duration;

/// What Linux does by default once a connection has been idle for long enough.
const PROBE_INTERVAL: Duration = Duration::from_secs(75);
const PROBES: u32 = 9;

/// To be flattened into the arguments of each command that listens.
#[derive(Args, Debug)]
#[command(next_help_heading = "TCP")]
pub struct TcpArgs {
    /// Wait for more to send with a small piece, rather than send it at once (no TCP_NODELAY).
    #[arg(long)]
    tcp_delay: bool,
    /// Look whether a peer is still there when it has been silent for so long, then every 75 seconds,
    /// or as often as that if it is less; after 9 times without an answer the connection is reset.
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u16).range(1..=32767))]
    tcp_keep_alive: Option<u16>,
    /// Let other processes listen on the same address, if they want it too: the kernel shares out the
    /// connections.
    #[arg(long)]
    reuse_port: bool,
    /// Take data that comes with a connection's first packet (TCP Fast Open), for so many connections
    /// at a time. Linux does so only where bit 2 of net.ipv4.tcp_fastopen is set.
    #[arg(long, value_name = "QUEUE", value_parser = value_parser!(u32).range(1..))]
    tcp_fast_open: Option<u32>,
    /// Have the kernel hold a connection back until its peer has sent something, for about so long.
    #[arg(long, value_name = "SECONDS", value_parser = value_parser!(u16).range(1..))]
    tcp_defer_accept: Option<u16>,
}

impl TcpArgs {
    /// Say which of the flags have no effect: nobody should have to find that out.
    pub fn warn(&self, sources: &[ListenSource]) {
        for source in sources {
            let flags = self.without_effect(source);
            if !flags.is_empty() {
                tracing::warn!("no effect on {source}: {}", flags.join(", "));
            }
        }
        #[cfg(target_os = "linux")]
        if self.tcp_fast_open.is_some() && !fast_open_is_on() {
            tracing::warn!(
                "no effect: --tcp-fast-open, as bit 2 of net.ipv4.tcp_fastopen is not set \
                 (sysctl -w net.ipv4.tcp_fastopen=3)"
            );
        }
    }

    /// The flags that were given and say nothing about such a source.
    fn without_effect(&self, source: &ListenSource) -> Vec<&'static str> {
        let of_binding = [("--reuse-port", self.reuse_port)];
        let others = [
            ("--tcp-delay", self.tcp_delay),
            ("--tcp-keep-alive", self.tcp_keep_alive.is_some()),
            ("--tcp-fast-open", self.tcp_fast_open.is_some()),
            ("--tcp-defer-accept", self.tcp_defer_accept.is_some()),
        ];
        let concerned = match source {
            // It is no TCP socket.
            ListenSource::Unix(_) => [&of_binding[..], &others].concat(),
            // It is bound already.
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

/// Whether the kernel does so for sockets that listen (ip-sysctl). What cannot be read may be.
#[cfg(target_os = "linux")]
fn fast_open_is_on() -> bool {
    const FOR_SERVERS: u32 = 2;
    let setting = std::fs::read_to_string("/proc/sys/net/ipv4/tcp_fastopen");
    let bits = setting.ok().and_then(|text| text.trim().parse().ok());
    bits.is_none_or(|bits: u32| bits & FOR_SERVERS != 0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Debug, Parser)]
    struct Cli {
        #[command(flatten)]
        tcp: TcpArgs,
    }

    fn without_effect(source: &str) -> Vec<&'static str> {
        let all = "evconn --tcp-delay --reuse-port --tcp-keep-alive 5 --tcp-fast-open 9";
        let cli = Cli::try_parse_from(all.split(' ')).expect("right");
        let source = source.parse().expect("a source");
        cli.tcp.without_effect(&source)
    }

    #[test]
    fn flags_without_effect_are_those_that_were_given_for_what_is_not_made_here() {
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
