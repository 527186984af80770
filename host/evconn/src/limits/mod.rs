//! The limits of a connection, and of all connections together.

mod allowance;
mod bucket;

pub(crate) use allowance::{Allowance, Exceeded};
pub(crate) use bucket::Bucket;

use std::time::Duration;

/// The limits of a [`Server`](crate::Server) or of [`serve`](crate::serve).
///
/// A connection that exceeds one of them is reset, no other is affected, and the log says why.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of open connections. Defaults to 1,000.
    ///
    /// Further connections are accepted when others end: until then their peers wait in the accept queue,
    /// whose length is the listener's backlog.
    pub max_connections: usize,
    /// Maximum number of open connections from one peer: an IPv4 address, or an IPv6 network of the
    /// length [`peer_ipv6_prefix`](Self::peer_ipv6_prefix). Defaults to no limit.
    ///
    /// Further connections are reset before anything is read from them, including a TLS handshake. If a
    /// proxy announces the peers, the announced address counts, as soon as its header has been read.
    /// Peers of a Unix socket are not counted.
    pub max_connections_per_peer: Option<usize>,
    /// The length of the IPv6 networks that count as one peer, from 0 to 128 bits; a larger value counts
    /// as 128. Defaults to 64: the smallest network that an internet provider gives to a customer, who
    /// can use all of its addresses.
    pub peer_ipv6_prefix: u8,
    /// Maximum linear memory of a connection's instance, in bytes: all of its memories together, and the
    /// objects of a garbage-collected language. Defaults to 64 MiB.
    ///
    /// Growth beyond it fails in the guest (`memory.grow` returns -1), which in most languages results in
    /// a trap. A service that begins with more cannot be loaded, if the host was built with this limit;
    /// otherwise each of its connections fails.
    pub max_memory: usize,
    /// Maximum number of elements in all tables of a connection's instance together. Defaults to 20,000.
    ///
    /// Most of them are function pointers. Growth beyond it fails in the guest (`table.grow` returns -1).
    pub max_table_elements: usize,
    /// Maximum number of memories of a connection's instance. Defaults to 9.
    ///
    /// A simple component has one memory, and each component composed with it adds its own: the default
    /// is enough for a service behind a chain of eight.
    ///
    /// A host reserves address space for one more memory than this for each connection, up to 20,000 in
    /// all. So 10,000 connections at a time can have one memory each, and one for the objects of a
    /// garbage-collected language. A service with more memories can serve fewer connections at a time:
    /// see [`Service::max_connections`](crate::Service::max_connections).
    pub max_memories: usize,
    /// Maximum number of tables of a connection's instance. Defaults to 32.
    ///
    /// A simple component has two or three.
    pub max_tables: usize,
    /// Maximum number of core instances in a connection's instance. Defaults to 100.
    ///
    /// A simple component has three to five, and each component composed with it adds as many. A service
    /// that has more is treated as with [`max_memory`](Self::max_memory).
    pub max_core_instances: usize,
    /// Maximum number of handles that a guest has at a time: sockets, streams, pollables, errors, open
    /// files. Defaults to 1,024.
    ///
    /// These are entries in the host's table. A connection takes three of them, and the pollable of a
    /// clock two.
    pub max_handles: usize,
    /// Maximum number of descriptors of a connection's instance: its connection, and the sockets, files and
    /// directories that it opens. Defaults to 64, which is more than a service for one connection mostly
    /// needs, and so little that a hundred which hoard fit into the usual limit of open files.
    ///
    /// A socket counts until it is closed, even if its instance has ended before: one with unsent bytes may
    /// last 10 seconds longer. What is beyond the limit fails in the guest, with `new-socket-limit` or
    /// `insufficient-memory`. All instances of a host together have no more than the process may open, without
    /// those that it requires for accepting connections.
    pub max_descriptors: usize,
    /// Maximum number of bytes that a connection's instance has written and the kernel has not taken, because
    /// its peers do not read: all of its sockets together. Defaults to 1 MiB.
    ///
    /// `check-write` returns what is left of it, but 4 KiB at least, so that no socket has to wait for another
    /// one. A UDP socket counts as 128 KiB.
    pub max_unsent: usize,
    /// How long a connection may last, counted from when it was accepted. Defaults to no limit.
    pub timeout: Option<Duration>,
    /// How long a connection may stay open without a byte in either direction. Defaults to 10 minutes.
    ///
    /// This is checked sixteen times in that period, so a connection may last up to an eighth longer.
    pub idle_timeout: Option<Duration>,
    /// How long the guest may compute for a connection. Time slices of about 1 ms are counted, waiting
    /// is not. Defaults to no limit, since a transfer may have any size; a guest that only computes is
    /// ended by the idle timeout.
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
            max_descriptors: 64,
            max_unsent: 1 << 20,
            timeout: None,
            idle_timeout: Some(Duration::from_secs(600)),
            cpu_timeout: None,
        }
    }
}
