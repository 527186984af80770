//! What is counted of the entries: the connections of each peer, and the handshakes of each and of all.

use super::{MEMBER, Session, Table, owner};
use crate::quota::layout::state;
use crate::quota::peers::{Counted, Peers};

/// Its peer is known and counted.
const COUNTED: u64 = 1 << 21;
/// Its handshake is under way.
pub(super) const HANDSHAKE: u64 = 1 << 22;
/// That is one of a known peer.
const OF_PEER: u64 = 1 << 23;

impl Session<'_> {
    /// Counts a connection of this peer. Returns false if the peer has the maximum already.
    pub fn count_peer(&mut self, member: u16, entry: u32, peer: u128) -> bool {
        let (table, entry) = (self.table, entry as usize);
        let Some(most) = table.layout.per_peer else {
            return true;
        };
        if Peers::of(table).count(peer, Counted::Connections) >= most as u64 {
            return false;
        }
        let word = self.owner(entry);
        if word & MEMBER == owner(member) && word & COUNTED == 0 {
            self.set_flags(entry, COUNTED, Some(peer));
        }
        true
    }

    /// Removes the connection from its peer's count.
    pub fn forget_peer(&mut self, member: u16, entry: u32) {
        let entry = entry as usize;
        let word = self.owner(entry);
        if word & MEMBER == owner(member) && word & COUNTED != 0 {
            self.set_owner(entry, word & !COUNTED);
            self.take_off(entry, COUNTED);
        }
    }

    /// Counts a connection's handshake: as one of this peer, if that is known.
    pub fn begin_handshake(&mut self, member: u16, entry: u32, peer: Option<u128>) {
        let entry = entry as usize;
        let word = self.owner(entry);
        if word & MEMBER == owner(member) && word & HANDSHAKE == 0 {
            let of_peer = if peer.is_some() { OF_PEER } else { 0 };
            self.set_flags(entry, HANDSHAKE | of_peer, peer);
        }
    }

    /// Removes a connection's handshake from the counts.
    pub fn end_handshake(&mut self, member: u16, entry: u32) {
        let entry = entry as usize;
        let word = self.owner(entry);
        if word & MEMBER == owner(member) && word & HANDSHAKE != 0 {
            let flags = HANDSHAKE | OF_PEER;
            self.set_owner(entry, word & !flags);
            self.take_off(entry, word & flags);
        }
    }

    /// Returns how many handshakes of this peer are under way.
    pub fn handshakes_of(&self, peer: u128) -> usize {
        let count = Peers::of(self.table).count(peer, Counted::Handshakes);
        self.table.at_most_all(count)
    }

    /// Sets flags of an entry whose peer is this one, and counts what they say.
    fn set_flags(&mut self, entry: usize, flags: u64, peer: Option<u128>) {
        let word = self.owner(entry);
        if let Some(peer) = peer
            && word & (COUNTED | OF_PEER) == 0
        {
            self.set_peer(entry, peer);
        }
        self.set_owner(entry, word | flags);
        let Table { memory, .. } = self.table;
        if flags & HANDSHAKE != 0 {
            memory.set(state::HANDSHAKES, self.table.handshakes() as u64 + 1);
        }
        let peers = Peers::of(self.table);
        if !counted(flags).all(|what| peers.add(self.peer(entry), what)) {
            self.rebuild();
        }
    }

    /// Takes an entry that had these flags off the counts.
    pub(super) fn take_off(&mut self, entry: usize, flags: u64) {
        if flags & HANDSHAKE != 0 {
            let left = self.table.handshakes().saturating_sub(1);
            self.table.memory.set(state::HANDSHAKES, left as u64);
        }
        for what in counted(flags) {
            Peers::of(self.table).remove(self.peer(entry), what);
        }
    }
}

/// Returns what these flags of an entry say that its peer has.
pub(super) fn counted(flags: u64) -> impl Iterator<Item = Counted> {
    let all = [
        (COUNTED, Counted::Connections),
        (OF_PEER, Counted::Handshakes),
    ];
    all.into_iter()
        .filter_map(move |(flag, what)| (flags & flag != 0).then_some(what))
}
