//! The flags for what connections may use, one by one and together.

use super::values::{TimeLimit, bytes, count, seconds, some_seconds, time_limit};
use clap::{Args, value_parser};
use evconn::{AcceptRate, Limits, PeerFilter, Reuse, ServerBuilder};
use std::num::NonZeroU32;
use std::time::Duration;

/// To be flattened into the arguments of each command that serves components.
#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// The most connections that are open at a time; the next one waits in the kernel's queue until
    /// one of them ends.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_connections as u32, value_parser = value_parser!(u32).range(1..))]
    max_connections: u32,
    /// The most connections that are open at a time from one peer: an address of IPv4, or a network of
    /// IPv6 (see --peer-ipv6-prefix). Further ones are reset, before a TLS handshake. No limit if this is
    /// not given, and none for peers that come by a Unix socket.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_connections_per_peer: Option<u32>,
    /// How many bits the addresses of IPv6 have in common that count as one peer: 64 if this is not
    /// given.
    #[arg(long, value_name = "BITS", value_parser = value_parser!(u8).range(1..=128), allow_negative_numbers = true, requires = "max_connections_per_peer")]
    peer_ipv6_prefix: Option<u8>,
    /// The most memory that one connection's instance may have, in bytes, or with K, M or G.
    #[arg(long, value_name = "BYTES", default_value = "64M", value_parser = bytes, allow_negative_numbers = true)]
    max_memory: usize,
    /// The most elements that the tables of one connection's instance may have.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_table_elements as u32)]
    max_table_elements: u32,
    /// The most memories that one connection's instance may have: one for each component that it is
    /// composed of.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_memories as u32, value_parser = value_parser!(u32).range(1..))]
    max_memories: u32,
    /// The most tables that one connection's instance may have.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_tables as u32, value_parser = value_parser!(u32).range(1..))]
    max_tables: u32,
    /// The most core instances that one connection's component may be made of.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_core_instances as u32, value_parser = value_parser!(u32).range(1..))]
    max_core_instances: u32,
    /// The most handles that one connection's instance may have at a time: sockets, streams,
    /// pollables, errors, open files.
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_handles as u32, value_parser = value_parser!(u32).range(3..))]
    max_handles: u32,
    /// How many seconds a connection may last. No limit if this is not given.
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds, allow_negative_numbers = true)]
    timeout: Option<Duration>,
    /// How many seconds a connection may go on without a byte in either direction; `none` for no
    /// limit.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = time_limit, allow_negative_numbers = true)]
    idle_timeout: TimeLimit,
    /// How many seconds the service may compute for one connection, in slices of about 10 ms; waiting
    /// does not count. No limit if this is not given.
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds, allow_negative_numbers = true)]
    cpu_timeout: Option<Duration>,
}

impl LimitArgs {
    pub fn limits(&self) -> Limits {
        Limits {
            max_connections: self.max_connections as usize,
            max_connections_per_peer: self.max_connections_per_peer.map(|most| most as usize),
            peer_ipv6_prefix: self
                .peer_ipv6_prefix
                .unwrap_or(Limits::default().peer_ipv6_prefix),
            max_memory: self.max_memory,
            max_table_elements: self.max_table_elements as usize,
            max_memories: self.max_memories as usize,
            max_tables: self.max_tables as usize,
            max_core_instances: self.max_core_instances as usize,
            max_handles: self.max_handles as usize,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout.0,
            cpu_timeout: self.cpu_timeout,
        }
    }
}

/// The flags for how connections are accepted.
#[derive(Args, Debug)]
#[command(next_help_heading = "Accepting")]
pub struct AcceptArgs {
    /// How many connections the kernel may hold that were not yet accepted; the kernel has a limit of
    /// its own (net.core.somaxconn). An inherited socket keeps what it has.
    #[arg(long, value_name = "N", default_value = "4096", value_parser = value_parser!(u32).range(1..), allow_negative_numbers = true)]
    backlog: u32,
    /// The most connections that are accepted in a second, after as many at once; more wait in the
    /// kernel's queue. No limit if this is not given.
    #[arg(long, value_name = "N", value_parser = count, allow_negative_numbers = true)]
    accept_rate: Option<NonZeroU32>,
    /// The most connections that are accepted before the open ones get their turn.
    #[arg(long, value_name = "N", default_value = "64", value_parser = count, allow_negative_numbers = true)]
    max_accepts_per_turn: NonZeroU32,
}

impl AcceptArgs {
    pub fn apply(&self, builder: ServerBuilder) -> ServerBuilder {
        let builder = builder
            .backlog(self.backlog)
            .max_accepts_per_turn(self.max_accepts_per_turn);
        match self.accept_rate {
            Some(count) => builder.accept_rate(AcceptRate::per_second(count)),
            None => builder,
        }
    }
}

/// The flags for how often an instance is used.
#[derive(Args, Debug)]
#[command(next_help_heading = "Instances")]
pub struct ReuseArgs {
    /// Let an instance serve up to so many connections, one after the other, rather than make a fresh
    /// one for each. It is faster; but what is in the guest's memory then passes from one peer to the
    /// next: use it only for services that you trust to keep them apart. An instance that traps or exits
    /// is never used again.
    #[arg(long, value_name = "N", default_value = "1", value_parser = count, allow_negative_numbers = true)]
    reuse: NonZeroU32,
    /// How many seconds an instance that serves nobody is kept for the next connection: 10 if this is
    /// not given.
    #[arg(long, value_name = "SECONDS", value_parser = seconds, allow_negative_numbers = true, requires = "reuse")]
    idle_instance_timeout: Option<Duration>,
}

impl ReuseArgs {
    pub fn reuse(&self) -> Reuse {
        Reuse {
            connections: self.reuse,
            idle_timeout: self
                .idle_instance_timeout
                .unwrap_or(Reuse::DEFAULT_IDLE_TIMEOUT),
        }
    }
}

/// The flags for who may connect.
#[derive(Args, Debug)]
#[command(next_help_heading = "Peers")]
pub struct PeerArgs {
    /// Let only peers of this network connect, and of others that are named so: an address, or a
    /// network such as 10.0.0.0/8. Others are reset before anything of them is read. Peers that come by
    /// a Unix socket always may: the mode of its file is about them. ::ffff:10.0.0.0/104 is 10.0.0.0/8,
    /// and ::/0 is all of IPv6 and none of IPv4. May be repeated.
    #[arg(long, value_name = "CIDR", value_parser = network)]
    allow_peer: Vec<String>,
    /// Let no peer of this network connect, even if it is in one that is allowed. May be repeated.
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
