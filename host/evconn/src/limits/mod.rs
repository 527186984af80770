//! What one connection, and all of them together, may use.

mod allowance;

pub(crate) use allowance::{Allowance, Exceeded};

use std::time::Duration;

/// Limits of [`Server`](crate::Server) and [`serve`](crate::serve).
///
/// A connection that runs into one of them ends with a reset, alone, and the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// The most connections that are open at a time. Default: 1,000.
    ///
    /// The next one is accepted when one of them ends: until then peers wait in the kernel's
    /// queue, whose length is the listener's backlog.
    pub max_connections: usize,
    /// The most connections that are open at a time from one peer: an address of IPv4, or a network of
    /// IPv6 of the length [`peer_ipv6_prefix`](Self::peer_ipv6_prefix). Default: no limit.
    ///
    /// Further ones are reset, before anything of them is read, TLS handshakes included. Where a proxy
    /// announces its peers, the address that it announces counts, as soon as its header is there. Peers
    /// that come by a Unix socket are not counted.
    pub max_connections_per_peer: Option<usize>,
    /// How many bits the addresses of IPv6 have in common that count as one peer, from 0 to 128; more
    /// counts as 128. Default: 64, the smallest network that an internet provider gives to a customer,
    /// who can use all addresses in it.
    pub peer_ipv6_prefix: u8,
    /// The most linear memory that the instance of one connection may have, in bytes: all of its
    /// memories together, and the objects of a guest whose language is garbage-collected. Default: 64 MiB.
    ///
    /// What would exceed it fails in the guest (`memory.grow` returns -1), which for most
    /// languages ends in a trap. A service that begins with more is refused when it is loaded, if the host
    /// was made with this limit; otherwise it serves nobody.
    pub max_memory: usize,
    /// The most elements that the tables of one connection's instance may have, together.
    /// Default: 20,000.
    ///
    /// They are mostly pointers to functions. What would exceed it fails in the guest
    /// (`table.grow` returns -1).
    pub max_table_elements: usize,
    /// The most memories that one connection's instance may have. Default: 9.
    ///
    /// A simple component has one, and each component that is composed with it adds its own: the default is
    /// enough for a service behind a chain of eight.
    ///
    /// A host reserves address space for one more than this for each connection, and for 20,000 in all if
    /// that is less. So 10,000 connections at a time can have one memory each, and the objects of a guest
    /// whose language is garbage-collected, which take another. A service that has more is served to
    /// fewer connections at a time: see [`Service::max_connections`](crate::Service::max_connections).
    pub max_memories: usize,
    /// The most tables that one connection's instance may have. Default: 32.
    ///
    /// A simple component has two or three.
    pub max_tables: usize,
    /// The most core instances that one connection's component may be made of. Default: 100.
    ///
    /// A simple component is made of three to five, and each component that is composed with it adds as many.
    /// What needs more is treated as with [`max_memory`](Self::max_memory).
    pub max_core_instances: usize,
    /// The most handles that a guest may have at a time: sockets, streams, pollables, errors, open
    /// files. Default: 1,024.
    ///
    /// It is entries of the host's table that are counted. A connection has three of them, and the
    /// pollable of a clock takes two.
    pub max_handles: usize,
    /// How long a connection may last, from when it was accepted. Default: no limit.
    pub timeout: Option<Duration>,
    /// How long a connection may go on without a byte in either direction. Default: 10 minutes.
    ///
    /// It is looked at sixteen times in that time, so that it can be exceeded by an eighth.
    pub idle_timeout: Option<Duration>,
    /// How long the guest may compute for one connection: the time that it runs, in slices of about
    /// 1 ms, and not the time that it waits. Default: no limit, since a transfer may be of any
    /// size; a guest that only computes is idle, and ends for that.
    pub cpu_timeout: Option<Duration>,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            max_connections_per_peer: None,
            peer_ipv6_prefix: 64,
            max_memory: 64 << 20,
            max_table_elements: 20_000,
            max_memories: 9,
            max_tables: 32,
            max_core_instances: 100,
            max_handles: 1_024,
            timeout: None,
            idle_timeout: Some(Duration::from_secs(600)),
            cpu_timeout: None,
        }
    }
}
