//! How fast peers may open connections, and how fast the bytes of connections may go: of each for itself, and of all
//! connections of a peer in all processes of the server.

use crate::limits::{Limits, RateTable, Rated, counted_as, number_of};
#[cfg(unix)]
use crate::quota::Member;
use crate::sockets::{Direction, Endpoint, Rate, SharedRate};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::{Duration, Instant};

/// The rates of a server.
pub(super) struct Rates {
    /// Of each connection.
    bytes: Option<Rate>,
    /// Of each peer.
    bytes_of_peer: Option<Rate>,
    connections_of_peer: Option<Rate>,
    ipv6_prefix: u8,
    /// None: peers have no rates.
    peers: Option<Arc<Peers>>,
}

impl Rates {
    /// Returns the rates of a server in this process alone.
    pub fn local(limits: &Limits) -> Self {
        Self::new(limits, || Peers::Local {
            words: (0..RateTable::WORDS).map(|_| AtomicU64::new(0)).collect(),
            hasher: RandomState::new(),
            start: Instant::now(),
        })
    }

    /// Returns those of one in several processes.
    #[cfg(unix)]
    pub fn shared(limits: &Limits, member: &Member) -> Self {
        Self::new(limits, || Peers::Shared(member.clone()))
    }

    fn new(limits: &Limits, peers: impl FnOnce() -> Peers) -> Self {
        let connections = |most: NonZeroU32| Rate::counted(most.into());
        let bytes = |most: Option<NonZeroU64>| most.map(Rate::bytes);
        let rates = Self {
            bytes: bytes(limits.limit_rate),
            bytes_of_peer: bytes(limits.limit_rate_per_peer),
            connections_of_peer: limits.accept_rate_per_peer.map(connections),
            ipv6_prefix: limits.peer_ipv6_prefix,
            peers: None,
        };
        let has_any = rates.bytes_of_peer.is_some() || rates.connections_of_peer.is_some();
        Self {
            peers: has_any.then(|| Arc::new(peers())),
            ..rates
        }
    }

    /// Counts a connection that a peer has opened. Returns false if it opens more than its rate permits.
    pub fn permit(&self, peer: IpAddr) -> bool {
        let (Some(rate), Some(peers)) = (self.connections_of_peer, &self.peers) else {
            return true;
        };
        let peer = peers.hash(self.counted(peer));
        let (table, now) = peers.table();
        table.is_none_or(|table| table.take(peer, Rated::Connections, rate, now))
    }

    /// Limits how fast the bytes of a connection go, now that its peer is known.
    pub fn limit(&self, endpoint: &Endpoint) {
        if self.bytes.is_none() && self.bytes_of_peer.is_none() {
            return;
        }
        let shared = match (self.bytes_of_peer, &self.peers) {
            (Some(rate), Some(peers)) if endpoint.has_peer_address() => {
                let peer = peers.hash(self.counted(endpoint.peer_address().ip()));
                let peers = Arc::clone(peers);
                Some(Arc::new(PeerRate { rate, peer, peers }) as _)
            }
            _ => None,
        };
        endpoint.limit_rate(self.bytes, shared.as_ref());
    }

    fn counted(&self, peer: IpAddr) -> u128 {
        number_of(counted_as(peer, self.ipv6_prefix))
    }
}

/// Where the rates of peers are kept.
enum Peers {
    Local {
        words: Box<[AtomicU64]>,
        hasher: RandomState,
        start: Instant,
    },
    #[cfg(unix)]
    Shared(Member),
}

impl Peers {
    fn hash(&self, peer: u128) -> u64 {
        match self {
            Self::Local { hasher, .. } => hasher.hash_one(peer),
            #[cfg(unix)]
            Self::Shared(member) => member.hash(peer),
        }
    }

    /// Returns the table, and the time of its clock in nanoseconds.
    fn table(&self) -> (Option<RateTable<'_>>, u64) {
        match self {
            Self::Local { words, start, .. } => {
                let now = u64::try_from(start.elapsed().as_nanos()).unwrap_or(u64::MAX);
                (RateTable::new(words), now)
            }
            #[cfg(unix)]
            Self::Shared(member) => member.rates(),
        }
    }
}

/// The rate that the connections of a peer share.
struct PeerRate {
    rate: Rate,
    peer: u64,
    peers: Arc<Peers>,
}

impl SharedRate for PeerRate {
    fn rate(&self) -> Rate {
        self.rate
    }

    fn reserve(&self, direction: Direction, bytes: u64) -> Duration {
        let (table, now) = self.peers.table();
        let reserve = |table: RateTable<'_>| {
            table.reserve(self.peer, rated(direction), self.rate, now, bytes)
        };
        table.map_or(Duration::ZERO, reserve)
    }

    fn give_back(&self, direction: Direction, bytes: u64) {
        if let (Some(table), _) = self.peers.table() {
            table.give_back(self.peer, rated(direction), self.rate, bytes);
        }
    }
}

impl fmt::Debug for PeerRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("PeerRate")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

fn rated(direction: Direction) -> Rated {
    match direction {
        Direction::Receiving => Rated::Received,
        Direction::Sending => Rated::Sent,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn limits(accept_rate: u32, limit_rate: u64) -> Limits {
        Limits {
            accept_rate_per_peer: NonZeroU32::new(accept_rate),
            limit_rate_per_peer: NonZeroU64::new(limit_rate),
            ..Limits::default()
        }
    }

    fn ip(text: &str) -> IpAddr {
        text.parse().expect("an address")
    }

    /// How many connections of a peer are permitted at once.
    fn at_once(rates: &Rates, peer: &str) -> usize {
        (0..100).take_while(|_| rates.permit(ip(peer))).count()
    }

    #[test]
    fn as_many_may_be_opened_at_once_as_in_a_second() {
        // Few enough that no further one is due while this runs.
        for most in [1, 2, 3] {
            let rates = Rates::local(&limits(most, 0));
            assert_eq!(at_once(&rates, "192.0.2.1"), most as usize);
            assert_eq!(at_once(&rates, "::ffff:192.0.2.1"), 0);
            assert_eq!(at_once(&rates, "192.0.2.2"), most as usize);
        }
        assert_eq!(at_once(&Rates::local(&limits(0, 1)), "192.0.2.1"), 100);
    }

    #[test]
    fn the_addresses_of_a_network_of_ipv6_are_one_peer() {
        let rates = Rates::local(&limits(1, 0));
        assert!(rates.permit(ip("2001:db8::1")));
        assert!(!rates.permit(ip("2001:db8::ffff:2")));
        assert!(rates.permit(ip("2001:db8:0:1::1")));
    }

    #[cfg(unix)]
    #[test]
    fn processes_share_the_rates_of_a_peer_and_a_death_changes_nothing() {
        let limits = limits(2, 1_000);
        let quota = crate::Quota::create(&limits, None, 2).expect("memory");
        let [here, there] = [0, 1].map(|member| Rates::shared(&limits, &quota.join(member, 10)));
        assert!(here.permit(ip("192.0.2.1")) && there.permit(ip("192.0.2.1")));
        quota.release(0);
        assert!(!there.permit(ip("192.0.2.1")));
        let rate = |rates: &Rates| PeerRate {
            rate: rates.bytes_of_peer.expect("a rate"),
            peer: 7,
            peers: Arc::clone(rates.peers.as_ref().expect("peers")),
        };
        let [here, there] = [rate(&here), rate(&there)];
        let reserved = here.reserve(Direction::Sending, 10_000);
        assert_eq!(reserved, Duration::ZERO);
        let waits = there.reserve(Direction::Sending, 1);
        assert!(waits > Duration::from_secs(1), "{waits:?}");
        assert_eq!(there.reserve(Direction::Receiving, 1), Duration::ZERO);
    }
}
