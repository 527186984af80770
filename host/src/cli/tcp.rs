//! The flags for how TCP sockets are set up.

use clap::Args;
use clap::value_parser;
use evconn::sockets::{KeepAlive, TcpOptions};
use std::time::Duration;

/// What Linux does by default once a connection has been idle for long enough.
const PROBE_INTERVAL: Duration = Duration::from_secs(75);
const PROBES: u32 = 9;

/// To be flattened into the arguments of each command that listens.
#[derive(Args)]
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
