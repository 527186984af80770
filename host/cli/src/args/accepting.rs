//! The flags for which connections are accepted, and how many.

use super::values::count;
use clap::Args;
use evconn::{PeerFilter, ServerBuilder};
use std::num::NonZeroU32;

/// The flags for how connections are accepted.
#[derive(Args, Debug)]
#[command(next_help_heading = "Accepting")]
pub struct AcceptArgs {
    /// Length of the accept queue of each listening socket
    ///
    /// The kernel caps it at net.core.somaxconn. An inherited socket keeps its own.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = count, allow_negative_numbers = true)]
    backlog: NonZeroU32,
    /// Maximum number of connections accepted per second [default: no limit]
    ///
    /// As many may be accepted at once. Further ones wait in the accept queue.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    accept_rate: Option<NonZeroU32>,
    /// Maximum number of connections per second from one peer [default: no limit]
    ///
    /// As many may be opened at once. Further ones are reset, before a TLS handshake: each one that had to wait would
    /// take one of the --max-connections. A peer is what it is for --max-connections-per-peer, and is limited whatever
    /// its address.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    accept_rate_per_peer: Option<NonZeroU32>,
    /// Maximum number of connections accepted in a row before open ones are served
    #[arg(long, value_name = "N", default_value = "64", value_parser = count, allow_negative_numbers = true)]
    max_accepts_per_turn: NonZeroU32,
}

impl AcceptArgs {
    pub fn apply(&self, builder: ServerBuilder) -> ServerBuilder {
        builder
            .backlog(self.backlog.get())
            .max_accepts_per_turn(self.max_accepts_per_turn)
    }

    pub fn backlog(&self) -> NonZeroU32 {
        self.backlog
    }

    pub fn rate(&self) -> Option<NonZeroU32> {
        self.accept_rate
    }

    pub fn rate_per_peer(&self) -> Option<NonZeroU32> {
        self.accept_rate_per_peer
    }
}

/// The flags for who may connect.
#[derive(Args, Debug)]
#[command(next_help_heading = "Peers")]
pub struct PeerArgs {
    /// Accept only peers of this network: an address, or a network such as 10.0.0.0/8
    ///
    /// Other peers are reset before anything they send is read. Peers of Unix sockets are always accepted:
    /// the mode of the socket's file restricts them. ::ffff:10.0.0.0/104 is 10.0.0.0/8, and ::/0 is all of
    /// IPv6 and none of IPv4. May be repeated.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow_peer: Vec<String>,
    /// Accept no peer of this network, even if --allow-peer includes it
    ///
    /// May be repeated.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    deny_peer: Vec<String>,
}

impl PeerArgs {
    pub fn filter(&self) -> anyhow::Result<PeerFilter> {
        let mut filter = PeerFilter::all();
        for network in &self.allow_peer {
            filter = filter.allow(network)?;
        }
        for network in &self.deny_peer {
            filter = filter.deny(network)?;
        }
        Ok(filter)
    }
}

fn network(text: &str) -> Result<String, String> {
    match PeerFilter::all().allow(text) {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(error.to_string()),
    }
}
