//! The limits of a connection, and of all connections together.

mod allowance;
mod bucket;
mod decay;
mod log_words;
mod peer;
mod rates;
mod usage;

pub(crate) use allowance::{Allowance, Exceeded};
pub(crate) use bucket::Bucket;
pub(crate) use decay::Decaying;
pub(crate) use log_words::{LogWords, PEER_BUCKETS};
pub(crate) use peer::{counted_as, number_of};
pub(crate) use rates::{RateTable, Rated};
pub(crate) use usage::UsageTable;

use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::time::Duration;

/// What an instance may have more of for each further connection that it has at a time.
///
/// Handles: its socket and streams, a pollable for each of these, and as many for a connection that it makes to an
/// upstream, twice over. Descriptors: its own, one of an upstream, and two files.
const HANDLES_OF_FURTHER: usize = 32;
const DESCRIPTORS_OF_FURTHER: usize = 4;
const UNSENT_OF_FURTHER: usize = 64 << 10;
const MEMORY_OF_FURTHER: usize = 1 << 20;

/// The most that a memory with addresses of 32 bits has.
#[cfg(target_pointer_width = "64")]
const LARGEST_MEMORY: usize = 4 << 30;
#[cfg(not(target_pointer_width = "64"))]
const LARGEST_MEMORY: usize = usize::MAX;

/// The limits of a [`Server`](crate::Server) or of [`serve`](crate::serve).
///
/// A connection that exceeds one of them is reset, no other is affected, and the log says why. Limits of an instance are
/// for all of its connections together; if that exceeds one of them, all of these may be reset:
/// [`for_concurrency`](Self::for_concurrency) returns defaults for such instances.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Maximum number of open connections. Defaults to 1,000.
    ///
    /// Further connections are accepted when others end: until then their peers wait in the accept queue,
    /// whose length is the listener's backlog.
    pub max_connections: usize,
    /// Maximum number of open connections from one peer: an IPv4 address, or an IPv6 network of the
    /// length [`peer_ipv6_prefix`](Self::peer_ipv6_prefix). `None`, the default, is half of
    /// [`max_connections`](Self::max_connections) for a peer with a public address: no stranger can take all of them,
    /// and a NAT with that many users at a time is behind more than one address. Peers with other addresses are not
    /// limited by default: loopback, private networks (RFC 1918, RFC 4193), shared ones (RFC 6598) and link-local
    /// ones are often those of a proxy. `Some(usize::MAX)` is no limit.
    ///
    /// Further connections are reset before anything is read from them, including a TLS handshake. If a
    /// proxy announces the peers, the announced address counts, as soon as its header has been read.
    /// Peers of a Unix socket are not counted.
    pub max_connections_per_peer: Option<usize>,
    /// The length of the IPv6 networks that count as one peer, from 0 to 128 bits; a larger value counts
    /// as 128. Defaults to 64: the smallest network that an internet provider gives to a customer, who
    /// can use all of its addresses.
    pub peer_ipv6_prefix: u8,
    /// Maximum number of connections per second that one peer opens, as many of which it may open at once. Defaults to no
    /// limit.
    ///
    /// Further connections are reset before a TLS handshake, rather than delayed: each one that waits would take one of
    /// the [`max_connections`](Self::max_connections). A connection that is refused does not count. A peer is what it is
    /// for [`max_connections_per_peer`](Self::max_connections_per_peer), whatever its address: also one on a loopback or a
    /// private address is limited.
    ///
    /// 65,536 peers are remembered, each for as long as it has opened more than its rate: a second at most. If there are
    /// more at a time, the ones are forgotten that have opened the fewest.
    pub accept_rate_per_peer: Option<NonZeroU32>,
    /// Maximum number of bytes per second that a connection receives, and that it sends, each for itself. Defaults to no
    /// limit.
    ///
    /// A connection that is ahead waits, which slows its peer down; nothing is lost, and waiting is not
    /// [idle](Self::idle_timeout). A tenth of a second's bytes may come at once. The bytes of a TLS session count,
    /// not what they are sent as; handshakes, PROXY headers, and connections that a guest makes do not.
    pub limit_rate: Option<NonZeroU64>,
    /// Maximum number of bytes per second that all connections of one peer receive together, and that they send.
    /// Defaults to no limit.
    ///
    /// They take turns. A peer is what it is for [`accept_rate_per_peer`](Self::accept_rate_per_peer); those of a Unix
    /// socket are not limited, unless a proxy announces them. [`limit_rate`](Self::limit_rate) has the rest.
    pub limit_rate_per_peer: Option<NonZeroU64>,
    /// Maximum number of connections whose TLS handshake or PROXY header is not complete. Defaults to half of
    /// [`max_connections`](Self::max_connections), or 16 if that is more.
    ///
    /// A further one takes the place of the oldest one of the peer with the most. So handshakes that are never
    /// completed can neither take all connections nor keep other peers out. While no connection is free, each
    /// handshake may take only 3 seconds. If several processes share a [`Quota`](crate::Quota), there can be more for
    /// as long, until the process that has more than its share ends some.
    pub max_handshakes: Option<usize>,
    /// Maximum number of such connections of one peer. Defaults to half of
    /// [`max_handshakes`](Self::max_handshakes), or 8 if that is more.
    ///
    /// A further one takes the place of the peer's oldest one. A peer is what it is for
    /// [`max_connections_per_peer`](Self::max_connections_per_peer); peers of a Unix socket, and connections whose
    /// proxy has not announced the peer yet, count in all only.
    ///
    /// Many clients can have one address. A handshake takes a round trip or two: with the default of 250, as many
    /// as 2,500 clients of one address can connect per second if a handshake takes them 100 ms.
    pub max_handshakes_per_peer: Option<usize>,
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
    /// see [`Service::max_instances`](crate::Service::max_instances).
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
    /// clock one. Of a component of WASI 0.3, all that it has handles of counts: streams, futures, the calls that it waits
    /// for, and resources of its own, too.
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
    /// is not. Defaults to [`DEFAULT_CPU_TIMEOUT`](Self::DEFAULT_CPU_TIMEOUT); a guest that only computes is ended
    /// by the idle timeout before. An instance that has several connections may compute as long again with each that it
    /// accepts.
    pub cpu_timeout: Option<Duration>,
    /// How many bytes per second are logged about connections: what their services print, are denied, or fail with.
    /// Defaults to 64 KiB; None is no limit.
    ///
    /// One peer may have half of it, so that it cannot hide what happens to others. Further lines are left out, and
    /// counted in a line every 10 seconds. About refused connections there is one line per second, whatever this is.
    /// What services print to standard error unchanged ([`GrantsBuilder::inherit_stderr`]) does not count.
    ///
    /// [`GrantsBuilder::inherit_stderr`]: crate::GrantsBuilder::inherit_stderr
    pub log_budget: Option<NonZeroU32>,
}

impl Limits {
    /// Returns the defaults for instances that have this many connections at a time: see
    /// [`InstancePolicy::concurrency`](crate::InstancePolicy::concurrency). With 1, they are [`Limits::default`].
    ///
    /// For each further connection, an instance may have 32 handles, 4 descriptors, 64 KiB of unsent data and 1 MiB
    /// of memory more, up to the 4 GiB that a memory has at most.
    ///
    /// ```
    /// use evconn::Limits;
    /// use std::num::NonZeroU32;
    ///
    /// assert_eq!(Limits::for_concurrency(NonZeroU32::MIN), Limits::default());
    /// let limits = Limits::for_concurrency(NonZeroU32::new(101).expect("not 0"));
    /// assert_eq!(limits.max_handles, 1_024 + 3_200);
    /// ```
    pub fn for_concurrency(connections: NonZeroU32) -> Self {
        let one = Self::default();
        let further = usize::try_from(connections.get() - 1).unwrap_or(usize::MAX);
        let plus = |limit: usize, each: usize| limit.saturating_add(further.saturating_mul(each));
        Self {
            max_memory: plus(one.max_memory, MEMORY_OF_FURTHER).min(LARGEST_MEMORY),
            max_handles: plus(one.max_handles, HANDLES_OF_FURTHER),
            max_descriptors: plus(one.max_descriptors, DESCRIPTORS_OF_FURTHER),
            max_unsent: plus(one.max_unsent, UNSENT_OF_FURTHER),
            ..one
        }
    }

    /// Returns how many handshakes may be under way: in all, and of each peer.
    pub(crate) fn handshakes(&self) -> (usize, usize) {
        let half = |of: usize, least: usize| of.div_ceil(2).max(least.min(of));
        let all = self.max_handshakes;
        let all = all.unwrap_or_else(|| half(self.max_connections, 16)).max(1);
        let per_peer = self.max_handshakes_per_peer;
        (all, per_peer.unwrap_or_else(|| half(all, 8)).max(1))
    }
}

impl Limits {
    /// The default of [`cpu_timeout`](Self::cpu_timeout): a day. A connection of a normal service does not compute for
    /// that long: a service that copies a gigabyte in a second copies 86 terabytes. It bounds what a guest costs whose
    /// peer sends a byte now and then, so that the connection is never idle.
    pub const DEFAULT_CPU_TIMEOUT: Duration = Duration::from_secs(24 * 60 * 60);

    /// Returns how many connections the peer with this address may have, or None if it may have any number.
    pub(crate) fn max_connections_of(&self, peer: IpAddr) -> Option<usize> {
        let is_limited = self.max_connections_per_peer.is_some() || is_public(peer);
        self.max_connections_of_limited().filter(|_| is_limited)
    }

    /// Returns the same for a peer that is limited if any is.
    pub(crate) fn max_connections_of_limited(&self) -> Option<usize> {
        match self.max_connections_per_peer {
            None => Some(self.max_connections.div_ceil(2)),
            Some(usize::MAX) => None,
            most => most,
        }
    }
}

/// Returns whether this is an address of the internet, rather than of a network in which proxies are.
fn is_public(address: IpAddr) -> bool {
    let is_shared = |octets: [u8; 4]| octets[0] == 100 && octets[1] & 0xc0 == 64;
    match address.to_canonical() {
        IpAddr::V4(ip) => {
            !(ip.is_loopback() || ip.is_private() || ip.is_link_local() || is_shared(ip.octets()))
        }
        IpAddr::V6(ip) => !(ip.is_loopback() || ip.is_unique_local() || ip.is_unicast_link_local()),
    }
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            max_connections: 1_000,
            max_connections_per_peer: None,
            peer_ipv6_prefix: 64,
            accept_rate_per_peer: None,
            limit_rate: None,
            limit_rate_per_peer: None,
            max_handshakes: None,
            max_handshakes_per_peer: None,
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
            cpu_timeout: Some(Self::DEFAULT_CPU_TIMEOUT),
            log_budget: NonZeroU32::new(64 << 10),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(max_connections: usize) -> Limits {
        Limits {
            max_connections,
            ..Limits::default()
        }
    }

    #[test]
    fn handshakes_may_have_half_of_the_connections_and_a_peer_a_quarter() {
        assert_eq!(limits(1_000).handshakes(), (500, 250));
        assert_eq!(limits(20).handshakes(), (16, 8));
        assert_eq!(limits(5).handshakes(), (5, 5));
        assert_eq!(limits(1).handshakes(), (1, 1));
        let given = Limits {
            max_handshakes: Some(100),
            ..limits(1_000)
        };
        assert_eq!(given.handshakes(), (100, 50));
    }

    fn most(limits: &Limits, peer: &str) -> Option<usize> {
        limits.max_connections_of(peer.parse().expect("an address"))
    }

    #[test]
    fn by_default_a_stranger_gets_half_and_a_proxy_all() {
        let limits = Limits::default();
        for stranger in [
            "8.8.8.8",
            "::ffff:8.8.8.8",
            "2606:4700::1",
            "100.128.0.1",
            "172.32.0.1",
        ] {
            assert_eq!(most(&limits, stranger), Some(500), "{stranger}");
        }
        for proxy in [
            "127.0.0.1",
            "::1",
            "10.1.2.3",
            "::ffff:10.1.2.3",
            "172.16.0.1",
            "192.168.1.1",
            "100.64.0.1",
            "169.254.1.1",
            "fd00::1",
            "fe80::1",
        ] {
            assert_eq!(most(&limits, proxy), None, "{proxy}");
        }
        let one = Limits {
            max_connections: 1,
            ..limits
        };
        assert_eq!(most(&one, "8.8.8.8"), Some(1));
    }

    #[test]
    fn a_limit_that_is_set_is_that_of_all_peers() {
        for (set, limit) in [(Some(3), Some(3)), (Some(usize::MAX), None)] {
            let limits = Limits {
                max_connections_per_peer: set,
                ..Limits::default()
            };
            assert_eq!(most(&limits, "8.8.8.8"), limit);
            assert_eq!(most(&limits, "127.0.0.1"), limit);
        }
    }
}
