//! The flags for what a connection may use, and all of them together.

use super::instances::InstanceArgs;
use super::values::{
    ByteLimit, CountLimit, TimeLimit, byte_limit, byte_rate, bytes, count_limit, cpu_share,
    some_seconds, time_limit,
};
use clap::{Args, value_parser};
use evconn::{CpuShare, Limits};
use std::num::NonZeroU64;
use std::time::Duration;

#[derive(Args, Debug)]
#[command(next_help_heading = "Limits")]
pub struct LimitArgs {
    /// Maximum open connections [default: 1000]
    ///
    /// Further ones wait in the accept queue until one ends. With --instances, the default is as many as these have
    /// (--concurrency); more have an effect for a handler of WASI 0.3 that leaves connections to the host.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_connections: Option<u32>,
    /// Maximum number of open connections from one peer; `none` is no limit
    ///
    /// The default is half of --max-connections for a peer with a public address, and no limit for others.
    /// A peer is an IPv4 address, or an IPv6 network (see --peer-ipv6-prefix). Further connections are reset,
    /// before a TLS handshake. Connections through Unix sockets are not counted. A number limits all peers; the
    /// default spares those on loopback addresses and in private networks, which may be proxies.
    #[arg(long, value_name = "N", value_parser = count_limit)]
    max_connections_per_peer: Option<CountLimit>,
    /// Length of the IPv6 prefix that counts as one peer [default: 64]
    #[arg(long, value_name = "BITS", value_parser = value_parser!(u8).range(1..=128), allow_negative_numbers = true)]
    peer_ipv6_prefix: Option<u8>,
    /// Maximum number of TLS handshakes and PROXY headers under way [default: half of --max-connections]
    ///
    /// A further one ends the oldest one of the peer with the most. While no connection is free, each may take only
    /// 3 seconds.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_handshakes: Option<u32>,
    /// Maximum number of them of one peer [default: half of --max-handshakes]
    ///
    /// A further one ends the peer's oldest one.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_handshakes_per_peer: Option<u32>,
    /// Memory limit per instance [default: 64M]
    ///
    /// In bytes, or with K, M or G. The default grows by 1M for each further connection of --concurrency, up to 4G.
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_negative_numbers = true)]
    max_memory: Option<usize>,
    /// Maximum number of table elements of an instance
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_table_elements as u32)]
    max_table_elements: u32,
    /// Maximum number of memories of an instance: each component that is composed has one
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_memories as u32, value_parser = value_parser!(u32).range(1..))]
    max_memories: u32,
    /// Maximum number of tables of an instance
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_tables as u32, value_parser = value_parser!(u32).range(1..))]
    max_tables: u32,
    /// Maximum number of core instances in an instance
    #[arg(long, value_name = "N", default_value_t = Limits::default().max_core_instances as u32, value_parser = value_parser!(u32).range(1..))]
    max_core_instances: u32,
    /// Maximum number of handles of an instance: sockets, streams, pollables, errors, open files [default: 1024]
    ///
    /// The default grows by 32 for each further connection of --concurrency.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(3..))]
    max_handles: Option<u32>,
    /// Maximum number of descriptors of an instance: its connection, sockets, files and directories [default: 64]
    ///
    /// The default grows by 4 for each further connection of --concurrency.
    /// Opening more fails in the service. The services of a process together have what its limit of open files
    /// (ulimit -n) leaves, beyond what accepting connections requires.
    #[arg(long, value_name = "N", value_parser = value_parser!(u32).range(1..))]
    max_descriptors: Option<u32>,
    /// Maximum number of unsent bytes of an instance, or with K, M or G: what its peers do not read [default: 1M]
    ///
    /// An instance that has more can write 4 KiB at a time to each socket. The default grows by 64K for each further
    /// connection of --concurrency.
    #[arg(long, value_name = "BYTES", value_parser = bytes, allow_negative_numbers = true)]
    max_unsent: Option<usize>,
    /// Maximum number of bytes per second that a connection receives, and that it sends [default: no limit]
    ///
    /// In bytes, or with K, M or G; each direction for itself. A connection that is ahead waits, and slows its peer down
    /// by that; nothing is lost, and waiting is not idle. A tenth of a second's bytes may come at once.
    #[arg(long, value_name = "BYTES", value_parser = byte_rate, allow_negative_numbers = true)]
    limit_rate: Option<NonZeroU64>,
    /// Maximum number of bytes per second of all connections of one peer together [default: no limit]
    ///
    /// As with --limit-rate. The connections take turns. A peer is what it is for --max-connections-per-peer, and is
    /// limited whatever its address; connections through Unix sockets are not.
    #[arg(long, value_name = "BYTES", value_parser = byte_rate, allow_negative_numbers = true)]
    limit_rate_per_peer: Option<NonZeroU64>,
    /// Connection lifetime [default: no limit]
    ///
    /// A connection that lasts longer is reset.
    #[arg(long, value_name = "SECONDS", value_parser = some_seconds, allow_negative_numbers = true)]
    timeout: Option<Duration>,
    /// Time limit without a byte
    ///
    /// A connection without a byte in either direction for this time is reset. `none` is no limit.
    #[arg(long, value_name = "SECONDS", default_value = "600", value_parser = time_limit, allow_negative_numbers = true)]
    idle_timeout: TimeLimit,
    /// Maximum CPU time of the service for one connection; `none` is no limit
    ///
    /// It is measured in time slices of about 1 ms. Waiting does not count. The default is a day, which no
    /// connection of a normal service computes.
    #[arg(long, value_name = "SECONDS", default_value = "86400", value_parser = time_limit, allow_negative_numbers = true)]
    cpu_timeout: TimeLimit,
    /// Share of each core that connections get which have used a lot of CPU time, in percent
    ///
    /// They are served when no other connection needs the core, and always get this share of it. From 1.5 to 50.
    #[arg(long, value_name = "PERCENT", default_value = "5", value_parser = cpu_share, allow_negative_numbers = true)]
    cpu_share: CpuShare,
    /// Maximum number of bytes per second that are logged about connections; `none` is no limit
    ///
    /// It limits what their services print, are denied, or fail with. One peer may have half of it. Further lines are
    /// left out and counted. Refused connections are logged once per second, with their number. What services print
    /// with --inherit-stderr is not limited.
    #[arg(long, value_name = "BYTES", default_value = "64K", value_parser = byte_limit, allow_negative_numbers = true)]
    log_budget: ByteLimit,
}

impl LimitArgs {
    pub fn cpu_share(&self) -> CpuShare {
        self.cpu_share
    }

    /// Returns the maximum number of connections, if it was given.
    pub fn max_connections(&self) -> Option<u32> {
        self.max_connections
    }

    /// Returns the limits of a server with these instances.
    pub fn limits(&self, instances: &InstanceArgs) -> Limits {
        let default = Limits::for_concurrency(instances.concurrency());
        let or = |given: Option<u32>, default| given.map_or(default, |given| given as usize);
        Limits {
            max_connections: instances.max_connections(self.max_connections),
            max_connections_per_peer: self.max_connections_per_peer.map(|limit| limit.0),
            peer_ipv6_prefix: self.peer_ipv6_prefix.unwrap_or(default.peer_ipv6_prefix),
            max_handshakes: self.max_handshakes.map(|most| most as usize),
            max_handshakes_per_peer: self.max_handshakes_per_peer.map(|most| most as usize),
            max_memory: self.max_memory.unwrap_or(default.max_memory),
            max_table_elements: self.max_table_elements as usize,
            max_memories: self.max_memories as usize,
            max_tables: self.max_tables as usize,
            max_core_instances: self.max_core_instances as usize,
            max_handles: or(self.max_handles, default.max_handles),
            max_descriptors: or(self.max_descriptors, default.max_descriptors),
            max_unsent: self.max_unsent.unwrap_or(default.max_unsent),
            // A flag of its own group.
            accept_rate_per_peer: default.accept_rate_per_peer,
            limit_rate: self.limit_rate,
            limit_rate_per_peer: self.limit_rate_per_peer,
            timeout: self.timeout,
            idle_timeout: self.idle_timeout.0,
            cpu_timeout: self.cpu_timeout.0,
            log_budget: self.log_budget.0,
        }
    }
}
