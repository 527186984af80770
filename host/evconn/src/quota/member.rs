//! A process that serves connections, and what it has of the quota: permits, counts and tokens.

use super::bell::BellWaiter;
use super::layout::Slot;
use super::peers::hash;
use super::table::Table;
use super::{Quota, balance, now};
use crate::limits::{LogWords, RateTable, UsageTable, number_of};
use crate::metrics::Words;
use std::fmt;
use std::net::IpAddr;
use std::num::{NonZeroU32, NonZeroU64};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;

/// A process that serves connections within a [`Quota`]: see
/// [`ServerBuilder::member`](crate::ServerBuilder::member). Cloning is cheap.
#[derive(Clone)]
pub struct Member(Arc<Inner>);

struct Inner {
    quota: Quota,
    number: u16,
    /// How many connections this process can have, and how many of these can have an instance.
    capacity: usize,
    with_instance: usize,
    /// How many have none any more.
    without_instance: AtomicUsize,
    /// Notified whenever this process gives entries back.
    given_back: watch::Sender<()>,
}

impl Member {
    pub(super) fn new(quota: Quota, number: u16, capacity: usize) -> Self {
        Self::with(quota, number, capacity, usize::MAX)
    }

    fn with(quota: Quota, number: u16, capacity: usize, with_instance: usize) -> Self {
        Self(Arc::new(Inner {
            quota,
            number,
            capacity,
            with_instance,
            without_instance: AtomicUsize::new(0),
            given_back: watch::Sender::new(()),
        }))
    }

    /// Returns the same member for a process that can have no more than this many connections.
    pub(crate) fn with_capacity_of(self, connections: usize) -> Self {
        let Inner {
            quota,
            number,
            capacity,
            ..
        } = &*self.0;
        Self::new(quota.clone(), *number, (*capacity).min(connections))
    }

    /// Returns the same member for a process in which no more than this many connections can have an instance.
    pub(crate) fn with_instances_for(self, connections: usize) -> Self {
        let Inner {
            quota,
            number,
            capacity,
            ..
        } = &*self.0;
        Self::with(quota.clone(), *number, *capacity, connections)
    }

    /// Returns how many connections this process can have now, of which some have no instance.
    fn capacity_now(&self) -> usize {
        let without = self.0.without_instance.load(Ordering::Acquire);
        let most = self.0.with_instance.saturating_add(without);
        self.capacity().min(most)
    }

    /// Returns how many connections this process can have.
    pub(crate) fn capacity(&self) -> usize {
        self.0.capacity.min(self.max_connections())
    }

    /// Returns how many connections all processes can have together.
    pub(crate) fn max_connections(&self) -> usize {
        self.0.quota.0.table.layout.connections
    }

    /// Returns whether further connections have to wait for the end of others.
    pub(crate) fn is_full(&self) -> bool {
        let table = &self.0.quota.0.table;
        table.open() >= self.max_connections()
            || table.open_of(self.0.number) >= self.capacity_now()
    }

    /// Returns how many connections a peer can have, as [`Limits`](crate::Limits) say it, and the length of the IPv6
    /// networks that are one.
    pub(crate) fn per_peer(&self) -> (Option<usize>, u8) {
        let layout = &self.0.quota.0.table.layout;
        let limit = layout.per_peer.or(Some(usize::MAX));
        let limit = limit.filter(|_| layout.limits_all_peers);
        (limit, layout.ipv6_prefix)
    }

    /// Returns how many handshakes may be under way in all processes: in all, and of each peer.
    pub(crate) fn max_handshakes(&self) -> (usize, usize) {
        let [all, of_peer] = self.0.quota.0.table.layout.handshakes;
        (all.max(1), of_peer.max(1))
    }

    /// Returns how many handshakes are under way in all processes.
    pub(crate) fn handshakes(&self) -> usize {
        self.0.quota.0.table.handshakes()
    }

    /// Returns how many of these are of this peer.
    pub(crate) fn handshakes_of(&self, peer: IpAddr) -> usize {
        let session = self.0.quota.0.table.lock(self.0.number);
        session.handshakes_of(number_of(peer))
    }

    /// Returns how many processes have connections, or accept them.
    pub(crate) fn processes(&self) -> usize {
        let table = &self.0.quota.0.table;
        let serves = |member: &u16| {
            let has = |word| table.of_slot(*member, word) != 0;
            has(Slot::Open) || has(Slot::Accepting)
        };
        let serving = (0..table.layout.members).filter(serves);
        serving.count().max(1)
    }

    /// Returns how many connections all processes accept per second.
    pub(crate) fn accept_rate(&self) -> Option<NonZeroU32> {
        self.0.quota.0.table.layout.rate
    }

    /// Returns what peers have used of the processors, in all processes, and the time of its clock.
    pub(crate) fn usage(&self) -> (Option<UsageTable<'_>>, u32) {
        let Table { memory, layout } = &self.0.quota.0.table;
        let words = memory.words().get(layout.usage());
        let now = (now() / 1_000_000) as u32;
        (words.and_then(UsageTable::new), now)
    }

    /// Returns how many connections a peer may open per second, and how many bytes it may receive and send.
    pub(crate) fn rates_per_peer(&self) -> (Option<NonZeroU32>, Option<NonZeroU64>) {
        let layout = &self.0.quota.0.table.layout;
        (layout.accept_rate_per_peer, layout.limit_rate_per_peer)
    }

    /// Returns how far peers have used up their rates, if they have any, and the time of its clock.
    pub(crate) fn rates(&self) -> (Option<RateTable<'_>>, u64) {
        let Table { memory, layout } = &self.0.quota.0.table;
        let words = memory.words().get(layout.rates());
        (words.and_then(RateTable::new), now())
    }

    /// Returns a hash of a peer's address that is the same in all processes, and that no peer can choose.
    pub(crate) fn hash(&self, peer: u128) -> u64 {
        hash(peer, self.0.quota.0.table.layout.hash_keys)
    }

    /// Returns the random numbers that all processes share.
    pub(crate) fn hash_keys(&self) -> [u64; 2] {
        self.0.quota.0.table.layout.hash_keys
    }

    /// Does something with the words of the log budget, while no other process does.
    pub(crate) fn with_log_words<T>(&self, action: impl FnOnce(LogWords<'_>) -> T) -> T {
        let Table { memory, layout } = &self.0.quota.0.table;
        let _session = self.0.quota.0.table.lock(self.0.number);
        action(LogWords {
            words: &memory.words()[layout.log_at()..][..LogWords::COUNT],
            now: now(),
        })
    }

    pub(crate) fn is(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }

    /// Takes up to `wanted` entries, and adds them to `taken`.
    pub(super) fn take(&self, wanted: usize, taken: &mut Vec<u32>) {
        let (number, capacity) = (self.0.number, self.capacity_now());
        let mut session = self.0.quota.0.table.lock(number);
        session.take(number, wanted, capacity, taken);
    }

    /// Frees entries.
    pub(super) fn free(&self, entries: &[u32]) {
        let ring = {
            let mut session = self.0.quota.0.table.lock(self.0.number);
            session.free(self.0.number, entries, now())
        };
        self.0.quota.0.ring(ring);
        self.0.given_back.send_replace(());
    }

    /// Returns a receiver that is notified when this process gives entries back.
    pub(super) fn given_back(&self) -> watch::Receiver<()> {
        self.0.given_back.subscribe()
    }

    /// Waits until an entry may be free.
    pub(super) async fn rung(&self, waiter: &mut BellWaiter) {
        waiter.wait(&self.0.quota.0.bell).await;
    }

    /// Returns how many connections may be taken now for the sake of balance, or None if another member has
    /// clearly fewer.
    pub(super) fn share(&self) -> Option<usize> {
        let table = &self.0.quota.0.table;
        let least = self.rivals().map(|member| table.open_of(member)).min();
        balance::share(table.open_of(self.0.number), least)
    }

    /// Returns whether the next connection is left to the member that has accepted the last one.
    pub(super) fn leaves_next(&self) -> bool {
        let table = &self.0.quota.0.table;
        let Some((last, ago)) = table.last_begun(now()) else {
            return false;
        };
        let (own, others) = (table.open_of(self.0.number), table.open_of(last));
        last != self.0.number && balance::leaves_next(own, ago, others)
    }

    /// Returns whether others accept, too.
    pub(super) fn has_rivals(&self) -> bool {
        self.rivals().next().is_some()
    }

    fn rivals(&self) -> impl Iterator<Item = u16> {
        let table = &self.0.quota.0.table;
        let others = (0..table.layout.members).filter(|member| *member != self.0.number);
        others.filter(|member| table.of_slot(*member, Slot::Accepting) != 0)
    }

    /// Records that an acceptor of this process begins or stops accepting.
    pub(super) fn set_accepting(&self, accepts: bool) {
        let table = &self.0.quota.0.table;
        let word = table.layout.slot(self.0.number, Slot::Accepting);
        let change = if accepts { 1 } else { u64::MAX };
        table.memory.add(word, change);
    }
}

/// What this process counts, which it alone writes.
impl Words for Member {
    fn words(&self) -> &[AtomicU64] {
        let Table { memory, layout } = &self.0.quota.0.table;
        &memory.words()[layout.counts(self.0.number)]
    }
}

impl fmt::Debug for Member {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Member")
            .field("number", &self.0.number)
            .field("capacity", &self.0.capacity)
            .finish_non_exhaustive()
    }
}

/// A permit for a connection, or the connection that was accepted with it: one entry of the table. It is
/// free again when this is dropped.
pub(crate) struct Permit {
    member: Member,
    entry: u32,
    /// Whether it is for a connection without an instance.
    is_without_instance: AtomicBool,
}

impl Permit {
    pub(super) fn new(member: &Member, entry: u32) -> Self {
        Self {
            member: member.clone(),
            entry,
            is_without_instance: AtomicBool::new(false),
        }
    }

    /// Counts the connection, and returns its number.
    pub fn begin(&self) -> u64 {
        let Inner { quota, number, .. } = &*self.member.0;
        quota
            .0
            .table
            .lock(*number)
            .begin(*number, self.entry, now())
    }

    /// Counts the connection as one of this peer. Returns false if the peer has the maximum already.
    pub fn count_peer(&self, peer: IpAddr) -> bool {
        let Inner { quota, number, .. } = &*self.member.0;
        let mut session = quota.0.table.lock(*number);
        session.count_peer(*number, self.entry, number_of(peer))
    }

    /// Removes the connection from its peer's count.
    pub fn forget_peer(&self) {
        let Inner { quota, number, .. } = &*self.member.0;
        quota.0.table.lock(*number).forget_peer(*number, self.entry);
    }

    /// Counts the connection's handshake: as one of this peer, if that is known.
    pub fn begin_handshake(&self, peer: Option<IpAddr>) {
        let Inner { quota, number, .. } = &*self.member.0;
        let mut session = quota.0.table.lock(*number);
        session.begin_handshake(*number, self.entry, peer.map(number_of));
    }

    /// Lets another connection of this process have the instance of this one.
    pub fn leave_instance(&self) {
        if !self.is_without_instance.swap(true, Ordering::AcqRel) {
            let Inner {
                without_instance,
                given_back,
                ..
            } = &*self.member.0;
            without_instance.fetch_add(1, Ordering::AcqRel);
            given_back.send_replace(());
        }
    }

    /// Removes the connection's handshake from the counts.
    pub fn end_handshake(&self) {
        let Inner { quota, number, .. } = &*self.member.0;
        let mut session = quota.0.table.lock(*number);
        session.end_handshake(*number, self.entry);
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        if *self.is_without_instance.get_mut() {
            let without = &self.member.0.without_instance;
            without.fetch_sub(1, Ordering::AcqRel);
        }
        self.member.free(&[self.entry]);
    }
}

/// The tokens of the quota: one is taken before each connection is accepted.
pub(crate) struct Tokens {
    member: Member,
    waiter: BellWaiter,
}

impl Tokens {
    pub fn of(member: Member) -> Self {
        Self {
            member,
            waiter: BellWaiter::default(),
        }
    }

    /// Takes up to `wanted` tokens. If there is none, returns when there will be one. A token that is taken
    /// by a process that dies is lost: whether its connection was accepted is not known.
    pub fn take(&self, wanted: u32) -> Result<u32, Instant> {
        let Inner { quota, number, .. } = &*self.member.0;
        let Some(rate) = self.member.accept_rate() else {
            return Ok(wanted);
        };
        // The clock is read with the lock held, so that it does not go back.
        let mut session = quota.0.table.lock(*number);
        let now = now();
        let next = |next: u64| Instant::now() + Duration::from_nanos(next.saturating_sub(now));
        session.take_tokens(rate, wanted, now).map_err(next)
    }

    /// Gives back tokens that were not used.
    pub fn give_back(&self, count: u32) {
        let Inner { quota, number, .. } = &*self.member.0;
        if let Some(rate) = self.member.accept_rate()
            && count > 0
        {
            let ring = {
                let mut session = quota.0.table.lock(*number);
                session.give_tokens_back(rate, count, now())
            };
            quota.0.ring(ring);
        }
    }

    /// Waits until there may be a token: until this time, or until one is given back.
    pub async fn wait(&mut self, until: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.member.rung(&mut self.waiter) => {}
        }
    }
}
