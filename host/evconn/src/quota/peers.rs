//! How many connections and handshakes each peer has, over all members: a hash table with linear probing.
//!
//! It is derived from the entries of the [`table`](super::table), and used by the holder of the lock only.
//! Whatever is in the memory, each call visits each place at most once.

use super::layout::Peer;
use super::table::Table;

pub(super) struct Peers<'a>(&'a Table);

/// What is counted of a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Counted {
    Connections,
    Handshakes,
}

impl Counted {
    const ALL: [Self; 2] = [Self::Connections, Self::Handshakes];

    fn word(self) -> Peer {
        match self {
            Self::Connections => Peer::Connections,
            Self::Handshakes => Peer::Handshakes,
        }
    }
}

impl<'a> Peers<'a> {
    pub fn of(table: &'a Table) -> Self {
        Self(table)
    }

    pub fn clear(&self) {
        for place in 0..self.places() {
            self.set_counts(place, [0; 2]);
        }
    }

    /// Returns how many the peer has of these.
    pub fn count(&self, peer: u128, what: Counted) -> u64 {
        self.find(peer)
            .map_or(0, |place| self.get(place, what.word()))
    }

    /// Adds one to a count of the peer. Returns false if no place is free, which only damaged memory causes: at
    /// most half of them are in use.
    pub fn add(&self, peer: u128, what: Counted) -> bool {
        let Some(place) = self.find(peer) else {
            return false;
        };
        if self.is_free(place) {
            self.set_key(place, peer);
        }
        let count = self.get(place, what.word());
        self.set(place, what.word(), count.saturating_add(1));
        true
    }

    /// Takes one off a count of the peer.
    pub fn remove(&self, peer: u128, what: Counted) {
        let Some(place) = self.find(peer).filter(|place| !self.is_free(*place)) else {
            return;
        };
        let count = self.get(place, what.word());
        self.set(place, what.word(), count.saturating_sub(1));
        if self.is_free(place) {
            self.close_gap(place);
        }
    }

    /// Returns the place of the peer, or the one that it would get.
    fn find(&self, peer: u128) -> Option<usize> {
        self.from(self.home(peer))
            .find(|&place| self.is_free(place) || self.key(place) == peer)
    }

    /// Frees a place, and moves the following peers forward as far as linear probing allows.
    fn close_gap(&self, mut gap: usize) {
        let last = self.places() - 1;
        for place in self.from(gap).skip(1) {
            if self.is_free(place) {
                break;
            }
            let key = self.key(place);
            let from_home = place.wrapping_sub(self.home(key)) & last;
            let from_gap = place.wrapping_sub(gap) & last;
            if from_home >= from_gap {
                self.set_key(gap, key);
                self.set_counts(gap, self.counts(place));
                gap = place;
            }
        }
        self.set_counts(gap, [0; 2]);
    }

    /// Returns all places, beginning with this one.
    fn from(&self, first: usize) -> impl Iterator<Item = usize> + use<> {
        let places = self.places();
        (0..places).map(move |step| (first + step) & (places - 1))
    }

    /// Returns the place that is visited first.
    fn home(&self, peer: u128) -> usize {
        hash(peer, self.0.layout.hash_keys) as usize & self.places().saturating_sub(1)
    }

    fn places(&self) -> usize {
        self.0.layout.peers()
    }

    fn is_free(&self, place: usize) -> bool {
        self.counts(place) == [0; 2]
    }

    fn counts(&self, place: usize) -> [u64; 2] {
        Counted::ALL.map(|what| self.get(place, what.word()))
    }

    fn set_counts(&self, place: usize, counts: [u64; 2]) {
        for (what, count) in Counted::ALL.into_iter().zip(counts) {
            self.set(place, what.word(), count);
        }
    }

    fn key(&self, place: usize) -> u128 {
        u128::from(self.get(place, Peer::High)) << 64 | u128::from(self.get(place, Peer::Low))
    }

    fn set_key(&self, place: usize, peer: u128) {
        self.set(place, Peer::High, (peer >> 64) as u64);
        self.set(place, Peer::Low, peer as u64);
    }

    fn get(&self, place: usize, word: Peer) -> u64 {
        self.0.memory.get(self.0.layout.peer(place, word))
    }

    fn set(&self, place: usize, word: Peer, value: u64) {
        self.0.memory.set(self.0.layout.peer(place, word), value);
    }
}

pub(super) fn hash(peer: u128, [one, other]: [u64; 2]) -> u64 {
    let high = (peer >> 64) as u64 ^ one;
    let low = peer as u64 ^ other;
    let first = fold(high, 0x9e37_79b9_7f4a_7c15);
    fold(first ^ low, one | 1)
}

/// Mixes two numbers: the halves of their product.
fn fold(one: u64, other: u64) -> u64 {
    let product = u128::from(one) * u128::from(other);
    (product >> 64) as u64 ^ product as u64
}
