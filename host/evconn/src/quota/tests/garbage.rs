//! Another process has written anything anywhere.

use super::{Random, check, limits};
use crate::quota::{Intake, Permit, Quota, Tokens};
use std::net::{IpAddr, Ipv4Addr};
use std::num::NonZeroU32;
use std::sync::atomic::Ordering;
use std::sync::mpsc;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(60);
const CONNECTIONS: usize = 8;
const MEMBERS: u16 = 2;

fn scramble(quota: &Quota, random: &mut Random) {
    let memory = &quota.0.table.memory;
    for word in 0..memory.len() {
        let value = match random.below(4) {
            0 => random.next(),
            1 => random.below(2 * CONNECTIONS as u64),
            2 => 1 + random.below(u64::from(MEMBERS)) + (random.below(16) << 20),
            _ => continue,
        };
        memory.set(word, value);
    }
    // Neither of the members has it: that would be waited for.
    let holder = random.below(1 << 30) as u32 | 1 << 20;
    memory.lock().store(holder, Ordering::Release);
}

/// Calls everything once.
fn use_it(quota: &Quota) {
    let member = quota.join(0, CONNECTIONS);
    let mut intake = Intake::new(member.clone());
    let _ = intake.fill(NonZeroU32::new(64).expect("not 0"));
    for permit in (0..3).filter_map(|_| intake.one()) {
        permit.begin();
        for last in 0..4 {
            permit.count_peer(IpAddr::V4(Ipv4Addr::new(192, 0, 2, last)));
        }
        permit.begin_handshake(Some(IpAddr::V4(Ipv4Addr::LOCALHOST)));
        permit.forget_peer();
        permit.end_handshake();
        permit.begin_handshake(None);
    }
    for entry in [0, CONNECTIONS as u32 - 1] {
        drop(Permit::new(&member, entry));
    }
    drop(intake);
    let _ = (member.handshakes(), member.processes());
    let _ = member.handshakes_of(IpAddr::V4(Ipv4Addr::LOCALHOST));
    let tokens = Tokens::of(member);
    tokens.give_back(tokens.take(7).unwrap_or(1));
    let _ = (quota.open_connections(), quota.connections_of(1));
    let _ = (quota.served(), quota.idle_for(), quota.stuck());
    let _ = format!("{quota:?}");
}

#[test]
fn nothing_that_is_in_the_memory_makes_a_call_fail_or_hang() {
    let (done, is_done) = mpsc::channel();
    std::thread::spawn(move || {
        let rate = NonZeroU32::new(5);
        let quota = Quota::create(&limits(CONNECTIONS), rate, MEMBERS).expect("a quota");
        for seed in 0..2_000 {
            scramble(&quota, &mut Random(seed));
            use_it(&quota);
            // Releasing both makes it a good one again.
            for member in 0..MEMBERS {
                quota.release(member);
            }
            check(&quota.0.table);
            assert_eq!(quota.open_connections(), 0, "{seed}");
        }
        done.send(()).expect("somebody waits");
    });
    is_done
        .recv_timeout(DEADLINE)
        .expect("no call failed or hung");
}
