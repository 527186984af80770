//! What one guest uses of the host's descriptors, memory and threads, and how much of each it may use.
//!
//! A guest holds these through its sockets and files, some of which outlive it: a socket that still sends,
//! a look-up that nobody can cancel. So each of them holds a [`Charge`], which ends with it.

use super::denial::{Denial, OnDenied};
use std::any::Any;
use std::sync::atomic::{AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// The default of [`AccountLimits::guaranteed`]: how many descriptors each guest may have although those that all guests [share](SharedDescriptors) are
/// used up: its connection, and one more, so that a proxy can do its work beside guests that hoard.
const GUARANTEED: usize = 2;

/// How much a guest may use at a time. Defaults to no limits.
#[derive(Clone, Debug)]
pub struct AccountLimits {
    /// Descriptors: its connection, its sockets, files and open directories.
    pub descriptors: usize,
    /// Bytes that it has written and that the operating system has not taken yet.
    pub unsent: usize,
    /// Look-ups of names that were not granted one by one.
    pub look_ups: usize,
    /// The descriptors that it shares with the other guests, if they are limited.
    pub shared: Option<SharedDescriptors>,
    /// How many descriptors it may have in any case, although those that are shared are used up. Defaults to 2.
    pub guaranteed: usize,
}

impl Default for AccountLimits {
    fn default() -> Self {
        Self {
            descriptors: usize::MAX,
            unsent: usize::MAX,
            look_ups: usize::MAX,
            shared: None,
            guaranteed: GUARANTEED,
        }
    }
}

/// What is counted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Counted {
    /// See [`AccountLimits::descriptors`].
    Descriptors,
    /// See [`AccountLimits::unsent`].
    Unsent,
    /// See [`AccountLimits::look_ups`].
    LookUps,
}

/// A guest has used up what it may have of this.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the guest has used up its limit")]
pub struct UsedUp(pub Counted);

/// The descriptors of a process that all of its guests share, beyond those that each of them has
/// [in any case](AccountLimits::guaranteed).
/// Cheap to clone; the clones are the same.
#[derive(Clone, Debug)]
pub struct SharedDescriptors(Arc<Count>);

impl SharedDescriptors {
    /// Returns this many descriptors.
    pub fn new(most: usize) -> Self {
        Self(Arc::new(Count::new(most)))
    }

    /// Returns how many of them are used.
    pub fn used(&self) -> usize {
        self.0.used()
    }
}

/// What one guest uses. Cheap to clone; the clones are the same account.
#[derive(Clone, Debug)]
pub struct Account(Arc<Inner>);

#[derive(Debug)]
struct Inner {
    descriptors: Count,
    unsent: Count,
    look_ups: Count,
    shared: Option<SharedDescriptors>,
    guaranteed: usize,
    on_denied: Option<Arc<dyn OnDenied>>,
    /// The limits whose end was reported, a bit for each.
    reported: AtomicU8,
    /// Kept until nothing is charged to the account any more.
    kept: Mutex<Option<Kept>>,
}

struct Kept(#[allow(dead_code, reason = "dropped with the account")] Arc<dyn Any + Send + Sync>);

impl std::fmt::Debug for Kept {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Kept")
    }
}

impl Account {
    /// Returns the account of a guest that has used nothing yet. `on_denied` is told once of each limit that
    /// it reaches.
    pub fn new(limits: AccountLimits, on_denied: Option<Arc<dyn OnDenied>>) -> Self {
        Self(Arc::new(Inner {
            descriptors: Count::new(limits.descriptors),
            unsent: Count::new(limits.unsent),
            look_ups: Count::new(limits.look_ups),
            shared: limits.shared,
            guaranteed: limits.guaranteed,
            on_denied,
            reported: AtomicU8::new(0),
            kept: Mutex::default(),
        }))
    }

    /// Returns how much of it is used.
    pub fn used(&self, what: Counted) -> usize {
        self.count(what).used()
    }

    /// Charges this amount.
    ///
    /// # Errors
    /// If that is more than the guest may have.
    pub fn charge(&self, what: Counted, amount: usize) -> Result<Charge, UsedUp> {
        let Some(before) = self.count(what).take(amount) else {
            return Err(self.refuse(what, self.limit_of(what)));
        };
        let mut charge = self.charged(what, amount);
        if let (Counted::Descriptors, Some(shared)) = (what, &self.0.shared)
            && before >= self.0.guaranteed
        {
            if shared.0.take(amount).is_none() {
                return Err(self.refuse(what, Denial::NoDescriptors));
            }
            charge.shared = Some(shared.clone());
        }
        Ok(charge)
    }

    /// Charges what the host gives to the guest, or needs for it, even beyond the limit.
    pub fn charge_anyway(&self, what: Counted, amount: usize) -> Charge {
        self.count(what).add(amount);
        self.charged(what, amount)
    }

    /// Keeps something until nothing is charged to the account any more, and the account itself is gone. It
    /// takes the place of what was kept before.
    pub fn keep(&self, kept: Option<Arc<dyn Any + Send + Sync>>) {
        let before = std::mem::replace(&mut *self.kept(), kept.map(Kept));
        // Not under the lock: what it ends is not known.
        drop(before);
    }

    /// Begins to report limits again, for the guest's next connection.
    pub fn report_again(&self) {
        self.0.reported.store(0, Ordering::Relaxed);
    }

    fn charged(&self, what: Counted, amount: usize) -> Charge {
        Charge {
            account: self.clone(),
            what,
            amount,
            shared: None,
        }
    }

    fn refuse(&self, what: Counted, denial: Denial<'_>) -> UsedUp {
        self.report(what, denial);
        UsedUp(what)
    }

    fn report(&self, what: Counted, denial: Denial<'_>) {
        let bit = 1 << what as u8;
        let reported = self.0.reported.fetch_or(bit, Ordering::Relaxed);
        if let (0, Some(on_denied)) = (reported & bit, &self.0.on_denied) {
            on_denied.denied(denial);
        }
    }

    fn limit_of(&self, what: Counted) -> Denial<'static> {
        let most = self.count(what).most;
        match what {
            Counted::Descriptors => Denial::Descriptors(most),
            Counted::Unsent => Denial::Unsent(most),
            Counted::LookUps => Denial::LookUps(most),
        }
    }

    fn count(&self, what: Counted) -> &Count {
        match what {
            Counted::Descriptors => &self.0.descriptors,
            Counted::Unsent => &self.0.unsent,
            Counted::LookUps => &self.0.look_ups,
        }
    }

    fn kept(&self) -> MutexGuard<'_, Option<Kept>> {
        // No code panics while it holds this lock.
        self.0.kept.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Something that is charged to an account until it is dropped.
#[derive(Debug)]
#[must_use = "what is charged is given back when this is dropped"]
pub struct Charge {
    account: Account,
    what: Counted,
    amount: usize,
    /// Where a descriptor was taken from, unless it is one of those that a guest has in any case.
    shared: Option<SharedDescriptors>,
}

impl Charge {
    /// Returns the charge of nothing.
    pub(crate) fn none(account: Account, what: Counted) -> Self {
        account.charged(what, 0)
    }

    /// Charges up to `wanted` instead of what was charged before: as much as is left. Returns how much.
    /// Less than `least` is reported.
    pub fn reserve(&mut self, wanted: usize, least: usize) -> usize {
        if self.amount != wanted {
            self.set(0);
            self.amount = self.account.count(self.what).take_up_to(wanted);
            if self.amount < least {
                let denial = self.account.limit_of(self.what);
                self.account.report(self.what, denial);
            }
        }
        self.amount
    }

    /// Charges this much instead, even beyond the limit.
    pub fn set(&mut self, amount: usize) {
        let count = self.account.count(self.what);
        match amount.checked_sub(self.amount) {
            Some(0) => return,
            Some(more) => count.add(more),
            None => count.give_back(self.amount - amount),
        }
        self.amount = amount;
    }
}

impl Drop for Charge {
    fn drop(&mut self) {
        if let Some(shared) = &self.shared {
            shared.0.give_back(self.amount);
        }
        self.set(0);
    }
}

/// How much of something is used, and how much of it may be.
#[derive(Debug)]
struct Count {
    used: AtomicUsize,
    most: usize,
}

impl Count {
    fn new(most: usize) -> Self {
        Self {
            used: AtomicUsize::new(0),
            most,
        }
    }

    fn used(&self) -> usize {
        self.used.load(Ordering::Relaxed)
    }

    /// Takes this much, if it is left. Returns how much was used before.
    fn take(&self, amount: usize) -> Option<usize> {
        let take = |used: usize| used.checked_add(amount).filter(|sum| *sum <= self.most);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        self.used.fetch_update(set, get, take).ok()
    }

    /// Takes what is left, up to `wanted`. Returns how much that is.
    fn take_up_to(&self, wanted: usize) -> usize {
        let left = |used: usize| self.most.saturating_sub(used).min(wanted);
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        let before = self
            .used
            .fetch_update(set, get, |used| Some(used + left(used)));
        left(before.unwrap_or(self.most))
    }

    fn add(&self, amount: usize) {
        self.used.fetch_add(amount, Ordering::Relaxed);
    }

    fn give_back(&self, amount: usize) {
        self.used.fetch_sub(amount, Ordering::Relaxed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, Default)]
    struct Reports(Mutex<Vec<String>>);

    impl OnDenied for Reports {
        fn denied(&self, denial: Denial<'_>) {
            let mut reports = self.0.lock().expect("no panic");
            reports.push(denial.to_string());
        }
    }

    fn account(descriptors: usize, shared: Option<SharedDescriptors>) -> (Account, Arc<Reports>) {
        let reports = Arc::<Reports>::default();
        let limits = AccountLimits {
            descriptors,
            unsent: 1_000,
            shared,
            ..AccountLimits::default()
        };
        (Account::new(limits, Some(reports.clone())), reports)
    }

    #[test]
    fn what_is_dropped_can_be_used_again_and_a_limit_is_reported_once() {
        let (account, reports) = account(2, None);
        let charge = || account.charge(Counted::Descriptors, 1);
        let held = [charge().expect("one"), charge().expect("two")];
        for _ in 0..3 {
            assert_eq!(
                charge().expect_err("all are used"),
                UsedUp(Counted::Descriptors)
            );
        }
        drop(held);
        assert_eq!(account.used(Counted::Descriptors), 0);
        drop(charge().expect("one"));
        let reports = reports.0.lock().expect("no panic");
        assert_eq!(reports.len(), 1);
        assert!(reports[0].contains("--max-descriptors"), "{reports:?}");
    }

    #[test]
    fn guests_that_hoard_leave_two_descriptors_to_each_other_one() {
        let shared = SharedDescriptors::new(3);
        let (hoarder, reports) = account(64, Some(shared.clone()));
        let (other, _) = account(64, Some(shared.clone()));
        let charge = |account: &Account| account.charge(Counted::Descriptors, 1);
        let hoard: Vec<_> = std::iter::from_fn(|| charge(&hoarder).ok()).collect();
        assert_eq!((hoard.len(), shared.used()), (5, 3));
        assert!(reports.0.lock().expect("no panic")[0].contains("ulimit"));
        let two = [charge(&other).expect("one"), charge(&other).expect("two")];
        charge(&other).expect_err("none is left");
        drop(hoard);
        assert_eq!((shared.used(), hoarder.used(Counted::Descriptors)), (0, 0));
        let third = charge(&other).expect("it is left again");
        drop((two, third));
        assert_eq!((shared.used(), other.used(Counted::Descriptors)), (0, 0));
    }

    #[test]
    fn a_reservation_is_what_is_left_and_is_given_back() {
        let (account, reports) = account(2, None);
        let charge = || Charge::none(account.clone(), Counted::Unsent);
        let (mut one, mut other) = (charge(), charge());
        assert_eq!(one.reserve(600, 400), 600);
        assert_eq!(one.reserve(600, 400), 600);
        assert_eq!(other.reserve(600, 400), 400);
        one.set(10);
        assert_eq!(other.reserve(600, 400), 600);
        // The host is not to lose what a guest has written.
        one.set(1_000);
        assert_eq!(account.used(Counted::Unsent), 1_600);
        assert_eq!(charge().reserve(1, 1), 0);
        drop((one, other));
        assert_eq!(account.used(Counted::Unsent), 0);
        let reports = reports.0.lock().expect("no panic");
        assert!(reports[0].contains("--max-unsent"), "{reports:?}");
    }

    #[test]
    fn what_is_kept_ends_with_the_last_charge() {
        let kept = Arc::new(());
        let (account, _) = account(2, None);
        account.keep(Some(kept.clone()));
        let charge = account.charge(Counted::Descriptors, 1).expect("one");
        drop(account);
        assert_eq!(Arc::strong_count(&kept), 2);
        drop(charge);
        assert_eq!(Arc::strong_count(&kept), 1);
    }
}
