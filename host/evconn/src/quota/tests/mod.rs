//! Tests of the quota as a whole: with a model, with threads, with processes that are killed, and with
//! garbage in the memory.

pub mod death;
mod garbage;
mod intake;
mod model;
#[cfg(target_os = "linux")]
mod processes;
mod threads;

use super::layout::{Entry, Peer, Slot, state};
use super::table::Table;
use super::*;
use std::collections::{BTreeMap, BTreeSet};

/// The most connections of a peer.
const PER_PEER: usize = 3;

fn limits(max_connections: usize) -> Limits {
    Limits {
        max_connections,
        max_connections_per_peer: Some(PER_PEER),
        ..Limits::default()
    }
}

fn quota(max_connections: usize, members: u16) -> Quota {
    Quota::create(&limits(max_connections), None, members).expect("a quota")
}

/// The same quota, as another process has it.
fn opened(quota: &Quota) -> Quota {
    let [memory, bell] = quota.descriptors();
    let copy = |descriptor: BorrowedFd<'_>| descriptor.try_clone_to_owned().expect("a copy");
    Quota::open(copy(memory), copy(bell)).expect("the same quota")
}

/// What an entry says: whose it is, whether it is a connection, of which peer, and whether its handshake is under way,
/// and of which peer that is.
type Known = (u16, bool, Option<u128>, Option<Option<u128>>);

/// What the entries say.
fn entries(table: &Table) -> Vec<Option<Known>> {
    let Table { memory, layout } = table;
    let entry = |entry| {
        let word = |word| memory.get(layout.entry(entry, word));
        let owner = word(Entry::Owner);
        let member = u16::try_from((owner & 0xf_ffff).checked_sub(1)?).expect("a member");
        let peer = u128::from(word(Entry::PeerHigh)) << 64 | u128::from(word(Entry::PeerLow));
        let [is_connection, is_counted, is_handshake, is_of_peer] =
            [20, 21, 22, 23].map(|bit| owner & 1 << bit != 0);
        let handshake = is_handshake.then_some(is_of_peer.then_some(peer));
        Some((member, is_connection, is_counted.then_some(peer), handshake))
    };
    (0..layout.connections).map(entry).collect()
}

/// Checks that all that is derived from the entries is right. The lock has to be held, or nobody else be
/// there.
fn check(table: &Table) {
    let Table { memory, layout } = table;
    let entries = entries(table);
    let free = memory.get(state::FREE) as usize;
    let list: BTreeSet<_> = (0..free)
        .map(|place| memory.get(layout.free(place)) as usize)
        .collect();
    let expected: BTreeSet<_> = (0..entries.len())
        .filter(|entry| entries[*entry].is_none())
        .collect();
    assert_eq!((&list, free), (&expected, expected.len()), "the free ones");
    for member in 0..layout.members {
        let of = |open: bool| {
            let ours = entries.iter().flatten().filter(|entry| entry.0 == member);
            ours.filter(|entry| entry.1 || !open).count() as u64
        };
        let slot = |word| memory.get(layout.slot(member, word));
        assert_eq!(slot(Slot::Entries), of(false), "entries of {member}");
        assert_eq!(slot(Slot::Open), of(true), "connections of {member}");
    }
    let open = entries.iter().flatten().filter(|entry| entry.1).count();
    assert_eq!(memory.get(state::OPEN), open as u64);
    let handshakes = entries.iter().flatten().filter_map(|entry| entry.3);
    assert_eq!(
        memory.get(state::HANDSHAKES),
        handshakes.clone().count() as u64
    );
    let mut expected = BTreeMap::<u128, (u64, u64)>::new();
    for peer in entries.iter().flatten().filter_map(|entry| entry.2) {
        expected.entry(peer).or_default().0 += 1;
    }
    for peer in handshakes.flatten() {
        expected.entry(peer).or_default().1 += 1;
    }
    let places = (0..layout.peers()).map(|place| {
        let word = |word| memory.get(layout.peer(place, word));
        let key = u128::from(word(Peer::High)) << 64 | u128::from(word(Peer::Low));
        (key, (word(Peer::Connections), word(Peer::Handshakes)))
    });
    let counted: BTreeMap<_, _> = places.filter(|(_, counts)| *counts != (0, 0)).collect();
    assert_eq!(counted, expected, "the peers");
    for (peer, (connections, handshakes)) in expected {
        let count = |what| peers::Peers::of(table).count(peer, what);
        assert_eq!(count(peers::Counted::Connections), connections);
        assert_eq!(count(peers::Counted::Handshakes), handshakes);
        assert!(connections <= PER_PEER as u64, "{peer} has {connections}");
    }
}

/// Numbers that look random, the same for a seed.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed ^ mixed >> 31
    }

    fn below(&mut self, limit: u64) -> u64 {
        self.next() % limit
    }
}

#[test]
fn the_settings_are_those_of_the_quota() {
    let rate = NonZeroU32::new(7);
    let limits = Limits {
        peer_ipv6_prefix: 48,
        accept_rate_per_peer: NonZeroU32::new(3),
        limit_rate_per_peer: std::num::NonZeroU64::new(u64::MAX),
        ..limits(100)
    };
    let quota = Quota::create(&limits, rate, 3).expect("a quota");
    let same = opened(&quota);
    assert_eq!(same.0.table.layout, quota.0.table.layout);
    let member = same.join(2, 40);
    assert_eq!((member.capacity(), member.max_connections()), (40, 100));
    assert_eq!(member.per_peer(), (Some(PER_PEER), 48));
    assert_eq!(member.max_handshakes(), (50, 25));
    assert_eq!(member.accept_rate(), rate);
    let rates = (limits.accept_rate_per_peer, limits.limit_rate_per_peer);
    assert_eq!(member.rates_per_peer(), rates);
    assert!(member.rates().0.is_some());
    assert_eq!(quota.join(0, usize::MAX).capacity(), 100);
}

#[test]
fn what_is_no_quota_is_refused() {
    let error = |limits, members| Quota::create(&limits, None, members).expect_err("an error");
    assert_eq!(error(limits(1), 0).kind(), io::ErrorKind::InvalidInput);
    let too_many = error(limits(usize::MAX), 1).to_string();
    assert!(too_many.contains("at most 16777216"), "{too_many}");

    let quota = quota(5, 1);
    let copy = |descriptor: BorrowedFd<'_>| descriptor.try_clone_to_owned().expect("a copy");
    let open = |memory| {
        let bell = copy(quota.descriptors()[1]);
        let error = Quota::open(memory, bell).expect_err("an error");
        assert_eq!(error.kind(), io::ErrorKind::InvalidData);
    };
    let of_words = |words| copy(Memory::create(words).expect("a memory").descriptor());
    open(of_words(1));
    open(of_words(1_000));
    let empty = std::fs::File::open("/dev/null").expect("a file");
    open(empty.into());
    for word in 0..6 {
        let table = &quota.0.table;
        let memory = Memory::create(table.memory.len()).expect("a memory");
        (0..table.memory.len()).for_each(|word| memory.set(word, table.memory.get(word)));
        Layout::read(&memory).expect("a good copy");
        memory.set(word, 1 << 40);
        let is_size = [0, 1, 2].contains(&word);
        if is_size {
            open(copy(memory.descriptor()));
        }
    }
}

#[test]
fn members_have_so_many_together_and_each_no_more_than_its_capacity() {
    let quota = quota(10, 2);
    let (one, other) = (quota.join(0, 6), opened(&quota).join(1, 6));
    let (mut ones, mut others) = (Vec::new(), Vec::new());
    one.take(64, &mut ones);
    other.take(64, &mut others);
    assert_eq!((ones.len(), others.len()), (6, 4));
    assert_eq!(quota.open_connections(), 0);
    let connections: Vec<_> = ones.iter().map(|entry| Permit::new(&one, *entry)).collect();
    let numbers: Vec<_> = connections.iter().map(Permit::begin).collect();
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6]);
    assert_eq!((quota.open_connections(), quota.connections_of(0)), (6, 6));
    assert_eq!(quota.idle_for(), None);
    drop(connections);
    assert_eq!(quota.open_connections(), 0);
    assert!(quota.idle_for().expect("idle") < Duration::from_secs(60));
    other.take(64, &mut others);
    assert_eq!(others.len(), 6);
    check(&quota.0.table);
    assert_eq!(quota.release(1), 0);
    one.take(64, &mut Vec::new());
    check(&quota.0.table);
    assert_eq!(quota.release(0), 0);
    check(&quota.0.table);
}

#[test]
fn what_a_member_served_stays_when_it_is_gone() {
    use crate::EndCause;
    use crate::metrics::{Count, Recorder, Timing};
    let quota = quota(10, 2);
    for _ in 0..2 {
        let member = quota.join(1, 10);
        let mut taken = Vec::new();
        member.take(3, &mut taken);
        let permits: Vec<_> = taken
            .iter()
            .map(|entry| Permit::new(&member, *entry))
            .collect();
        assert_eq!(permits.iter().map(Permit::begin).count(), 3);
        let recorder = Recorder::new(member);
        recorder.end(EndCause::PeerLimit);
        recorder.add(Count::Denied, 1);
        recorder.add(Count::Sent, 100);
        recorder.time(Timing::Duration, Duration::from_secs(1));
        std::mem::forget(recorder.instance());
        std::mem::forget(permits);
        assert_eq!(quota.release(1), 3);
    }
    let served = quota.served();
    assert_eq!(
        (served.connections, served.refused, served.failed),
        (8, 4, 4)
    );
    assert_eq!(quota.open_connections(), 0);
    let counted = quota.0.table.counted();
    assert_eq!(counted.ended(EndCause::WorkerDied), 4);
    assert_eq!(counted.count(Count::Sent), 200);
    assert_eq!(counted.timing(Timing::Duration).1, 2_000_000_000);
    assert_eq!(counted.count(Count::Created), 2);
    assert_eq!(counted.left(Count::Created, Count::Dropped), 0);
}

#[test]
fn tokens_are_those_of_all_members() {
    let rate = NonZeroU32::new(2);
    let quota = Quota::create(&limits(10), rate, 2).expect("a quota");
    let (one, other) = (
        Tokens::of(quota.join(0, 5)),
        Tokens::of(opened(&quota).join(1, 5)),
    );
    assert_eq!(one.take(1), Ok(1));
    assert_eq!(other.take(64), Ok(1));
    let next = one.take(1).expect_err("none is left");
    assert!(next <= Instant::now() + Duration::from_millis(500));
    other.give_back(1);
    assert_eq!(one.take(64), Ok(1));
}
