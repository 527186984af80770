//! Several members at the same time.

use super::{PER_PEER, Random, check, opened, quota};
use crate::quota::{Member, Permit};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const CONNECTIONS: usize = 20;
const MEMBERS: u16 = 4;
const PEERS: usize = 5;
const ROUNDS: usize = 20_000;

/// Something of which there may be so many at a time.
struct AtMost(AtomicUsize, usize);

impl AtMost {
    fn add(&self) {
        let count = self.0.fetch_add(1, Ordering::SeqCst) + 1;
        assert!(count <= self.1, "{count} of {}", self.1);
    }

    fn remove(&self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

/// Opens and closes connections at random. Returns how many it had, and the sum of their numbers.
fn hammer(member: &Member, seed: u64, all: &AtMost, peers: &[AtMost]) -> (u64, u64) {
    let mut random = Random(seed);
    let mut open: Vec<(Permit, Option<usize>)> = Vec::new();
    let (mut begun, mut sum) = (0, 0);
    let close = |(permit, peer): (Permit, Option<usize>)| {
        if let Some(peer) = peer {
            peers[peer].remove();
        }
        all.remove();
        drop(permit);
    };
    for _ in 0..ROUNDS {
        if random.below(2) == 0 && !open.is_empty() {
            let index = random.below(open.len() as u64) as usize;
            close(open.swap_remove(index));
            continue;
        }
        let mut taken = Vec::new();
        member.take(random.below(4) as usize, &mut taken);
        for entry in taken {
            all.add();
            let permit = Permit::new(member, entry);
            (begun, sum) = (begun + 1, sum + permit.begin());
            let peer = random.below(PEERS as u64) as usize;
            let address = IpAddr::V4(Ipv4Addr::from_bits(peer as u32));
            let counted = permit.count_peer(address).then_some(peer);
            if let Some(peer) = counted {
                peers[peer].add();
            }
            open.push((permit, counted));
        }
    }
    open.into_iter().for_each(close);
    (begun, sum)
}

#[test]
fn there_are_never_more_than_the_limits_and_no_number_comes_twice() {
    let quota = quota(CONNECTIONS, MEMBERS);
    let all = AtMost(AtomicUsize::new(0), CONNECTIONS);
    let peers: Vec<_> = (0..PEERS)
        .map(|_| AtMost(AtomicUsize::new(0), PER_PEER))
        .collect();
    let (begun, sum) = thread::scope(|scope| {
        let members: Vec<_> = (0..MEMBERS)
            .map(|number| {
                let member = opened(&quota).join(number, CONNECTIONS / 2);
                let (all, peers) = (&all, &peers);
                scope.spawn(move || hammer(&member, number.into(), all, peers))
            })
            .collect();
        let ends = members
            .into_iter()
            .map(|member| member.join().expect("no panic"));
        ends.fold((0, 0), |one, other| (one.0 + other.0, one.1 + other.1))
    });
    // The numbers are those from 1 on.
    assert_eq!(sum, begun * (begun + 1) / 2);
    assert_eq!(quota.served().connections, begun);
    assert_eq!(quota.open_connections(), 0);
    check(&quota.0.table);
}
