//! Random operations of several members, which may die at any store, against a model.

use super::{check, death, entries, quota};
use crate::quota::Quota;
use proptest::collection::vec;
use proptest::option::weighted;
use proptest::prelude::*;

const MEMBERS: u16 = 3;
const CONNECTIONS: usize = 8;

#[derive(Clone, Debug)]
enum Operation {
    Take(usize),
    Begin(usize),
    Count(usize, u8),
    Forget(usize),
    BeginHandshake(usize, Option<u8>),
    EndHandshake(usize),
    Free(Vec<usize>),
    Release,
}

/// An entry as its member knows it.
#[derive(Clone, Debug, Default)]
struct Held {
    entry: u32,
    is_connection: bool,
    peer: Option<u128>,
    handshake: Option<Option<u128>>,
}

impl Held {
    /// A connection has one peer.
    fn peer_or(&self, peer: u8) -> u128 {
        let known = self.peer.or(self.handshake.flatten());
        known.unwrap_or(peer.into())
    }
}

/// What each member has.
type Model = Vec<Vec<Held>>;

fn operation() -> impl Strategy<Value = Operation> {
    prop_oneof![
        (0..6_usize).prop_map(Operation::Take),
        any::<usize>().prop_map(Operation::Begin),
        (any::<usize>(), 0..3_u8).prop_map(|(index, peer)| Operation::Count(index, peer)),
        any::<usize>().prop_map(Operation::Forget),
        (any::<usize>(), weighted(0.8, 0..3_u8))
            .prop_map(|(index, peer)| Operation::BeginHandshake(index, peer)),
        any::<usize>().prop_map(Operation::EndHandshake),
        vec(any::<usize>(), 1..4).prop_map(Operation::Free),
        Just(Operation::Release),
    ]
}

/// Does what a member does, in the quota and, unless it dies, in the model.
fn run(quota: &Quota, model: &mut Model, member: u16, operation: &Operation) {
    let table = &quota.0.table;
    let held = &mut model[usize::from(member)];
    let at = |index: usize, count: usize| index.checked_rem(count);
    match operation {
        Operation::Take(wanted) => {
            let mut taken = Vec::new();
            table.lock(member).take(member, *wanted, 5, &mut taken);
            let new = |entry| Held {
                entry,
                ..Held::default()
            };
            held.extend(taken.into_iter().map(new));
        }
        Operation::Begin(index) => {
            if let Some(index) = at(*index, held.len())
                && !held[index].is_connection
            {
                table.lock(member).begin(member, held[index].entry, 0);
                held[index].is_connection = true;
            }
        }
        Operation::Count(index, peer) => {
            if let Some(index) = at(*index, held.len())
                && held[index].peer.is_none()
            {
                let entry = held[index].entry;
                let peer = held[index].peer_or(*peer);
                if table.lock(member).count_peer(member, entry, peer) {
                    held[index].peer = Some(peer);
                }
            }
        }
        Operation::Forget(index) => {
            if let Some(index) = at(*index, held.len()) {
                table.lock(member).forget_peer(member, held[index].entry);
                held[index].peer = None;
            }
        }
        Operation::BeginHandshake(index, peer) => {
            if let Some(index) = at(*index, held.len())
                && held[index].handshake.is_none()
            {
                let peer = peer.map(|peer| held[index].peer_or(peer));
                let mut session = table.lock(member);
                session.begin_handshake(member, held[index].entry, peer);
                held[index].handshake = Some(peer);
            }
        }
        Operation::EndHandshake(index) => {
            if let Some(index) = at(*index, held.len()) {
                table.lock(member).end_handshake(member, held[index].entry);
                held[index].handshake = None;
            }
        }
        Operation::Free(indexes) => {
            let mut left = held.clone();
            let mut freed = Vec::new();
            for index in indexes {
                if let Some(index) = at(*index, left.len()) {
                    freed.push(left.swap_remove(index).entry);
                }
            }
            let _ = table.lock(member).free(member, &freed, 1);
            *held = left;
        }
        Operation::Release => {
            let connections = held.iter().filter(|held| held.is_connection).count();
            assert_eq!(quota.release(member), connections);
            held.clear();
        }
    }
}

/// Checks that the quota has what the model has.
fn compare(quota: &Quota, model: &Model) {
    let table = &quota.0.table;
    check(table);
    let mut expected = vec![None; CONNECTIONS];
    for (member, held) in (0..).zip(model) {
        for held in held {
            let place = &mut expected[held.entry as usize];
            assert_eq!(*place, None, "an entry of two members");
            *place = Some((member, held.is_connection, held.peer, held.handshake));
        }
    }
    assert_eq!(entries(table), expected);
}

proptest! {
    #![proptest_config(ProptestConfig {
        // A failure is shown with its steps.
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn after_a_release_all_is_as_if_the_member_had_ended_before(
        steps in vec((0..MEMBERS, operation(), weighted(0.3, 0..30_u32)), 1..80),
    ) {
        let quota = quota(CONNECTIONS, MEMBERS);
        let mut model: Model = vec![Vec::new(); MEMBERS.into()];
        for (member, operation, stores) in &steps {
            // The supervisor does not die.
            let stores = stores.filter(|_| !matches!(operation, Operation::Release));
            let part = || run(&quota, &mut model, *member, operation);
            if death::after(stores, part).is_none() {
                quota.release(*member);
                model[usize::from(*member)].clear();
            }
            compare(&quota, &model);
        }
        let open: usize = model.iter().flatten().filter(|held| held.is_connection).count();
        prop_assert_eq!(quota.open_connections(), open);
        let released: usize = (0..MEMBERS).map(|member| quota.release(member)).sum();
        prop_assert_eq!(released, open);
        // None of them has ended otherwise.
        let served = quota.served();
        prop_assert_eq!(served.connections, served.failed);
        prop_assert_eq!(quota.open_connections(), 0);
    }
}

/// Without a release, a process that waits takes the lock over, and makes good what was begun.
#[test]
fn whoever_waits_for_long_enough_takes_the_lock() {
    let quota = quota(CONNECTIONS, MEMBERS);
    for stores in 1..6 {
        let mut taken = Vec::new();
        let died = death::after(Some(stores), || {
            quota.0.table.lock(0).take(0, 3, 5, &mut taken);
        });
        assert_eq!(died, None);
        if stores == 1 {
            let mut others = Vec::new();
            quota.0.table.lock(1).take(1, 2, 5, &mut others);
            assert_eq!(others.len(), 2);
            assert_eq!(quota.stuck(), Some(0));
        }
        quota.release(0);
        assert_eq!(quota.stuck(), None);
        check(&quota.0.table);
    }
}
