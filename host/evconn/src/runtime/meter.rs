//! Measures how long the guest of a connection, and the host on its behalf, runs.
//!
//! Each poll is charged with the time that it takes, and a longer one slice by slice. Waiting is not charged, nor is
//! the time in which the operating system runs other threads, on Linux; elsewhere no poll, and no slice, is charged
//! with more than two slices.
//!
//! What the account means for a connection is decided in [`background`](super::background).

use super::engine::SLICE;
use super::sys;
use crate::limits::Decaying;
use crate::metrics::{Count, Recorder};
use std::cell::Cell;
use std::fmt;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicU32, AtomicU64, Ordering};
use std::sync::{LazyLock, OnceLock};
use std::time::{Duration, Instant};

/// The account of one connection, shared by the store in which its guest runs and the task that polls it. Only one
/// thread uses it at a time.
pub(crate) struct Meter {
    /// When the connection began.
    begin: Now,
    /// Since when something has been running without being charged, in nanoseconds of the clock of this poll.
    mark: AtomicU64,
    /// Which clock that is.
    reads_thread_time: AtomicBool,
    /// The time charged so far, in nanoseconds.
    used: AtomicU64,
    /// The most that may be charged, in nanoseconds.
    end: AtomicU64,
    /// The most that may be charged from a renewal on.
    limit: u64,
    /// Whether the guest has used up a slice in this poll.
    slice_over: AtomicBool,
    /// What exceeded the connection's share, as far as it has not decayed: a [`Decaying`].
    excess: AtomicU64,
    /// Since when the connection has saved its share, in nanoseconds.
    saving_since: AtomicU64,
    /// What the peer has not been told of yet, and the part of it that it is charged with, in nanoseconds.
    untold: AtomicU64,
    unpaid: AtomicU64,
    /// When the peer was told last.
    told: AtomicU64,
    payer: OnceLock<Box<dyn Payer>>,
    /// How many times the connection went to the background.
    moves: AtomicU32,
    /// The instance that the connection has: an [`InstanceUse`], or 0.
    instance: AtomicU8,
    /// How old the connection was when it got it, in nanoseconds. 0: it has none.
    handled: AtomicU64,
    recorder: Recorder,
}

/// The instance that a connection has.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum InstanceUse {
    /// It is the connection's alone, and had no other one before.
    Fresh = 1,
    /// It had other connections before.
    Reused = 2,
    /// It may have other connections at the same time, or afterwards.
    Shared = 3,
}

impl InstanceUse {
    /// Returns its name in the access log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Fresh => "fresh",
            Self::Reused => "reused",
            Self::Shared => "shared",
        }
    }
}

/// The peer of a connection, which pays for it together with the peer's other connections.
pub(crate) trait Payer: Send + Sync {
    /// Charges the peer. With no time, the peer has nothing to pay for a connection that runs.
    fn charge(&self, time: Duration);

    /// Returns what a new connection of the peer starts with.
    fn debt(&self) -> Duration;

    /// Returns what the peer has been charged with, as far as it has not decayed.
    fn used(&self) -> Duration;
}

/// The clock that measures a poll.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Clock {
    /// The monotonic clock, which is cheap to read.
    Monotonic,
    /// The time for which the thread has run: for threads that often wait for a core.
    Thread,
}

/// No limit.
const NO_LIMIT: u64 = u64::MAX;

/// The peer is told each time its connection has run for this many nanoseconds, or has run at all this many
/// nanoseconds after it was told last: its account is shared, and shows who is active.
const AMOUNT: u64 = 100_000;
const INTERVAL: u64 = 100_000_000;

/// The share of a connection: one part in 100 of a core, and up to this many nanoseconds that it has saved. Accounts
/// are charged with what exceeds it. So a peer with many light connections is a light one, and a peer is charged for
/// each connection that runs for long, even if it begins a new one each time.
const PART: u64 = 100;
const MOST_SAVED: u64 = 100_000;

/// From this many nanoseconds on, it is found out for how long a thread has really run, with a system call. What is
/// shorter is mostly saved: who does little is charged nothing, however often others have its core meanwhile.
const LONG: u64 = MOST_SAVED;

/// The most that is charged at once, in nanoseconds. No guest runs for longer without a tick: what takes more than this
/// is the kernel's, which may look for memory for everybody just then.
const MOST_AT_ONCE: u64 = 100_000_000;

/// What a guest that is ready to run, and does not, still forgets: what exceeds this, in microseconds. It is a little
/// less than what a new connection of a heavy peer [starts with](Payer::debt), so that such do not always come first.
const KEPT: u32 = 10_000;

/// After this many nanoseconds, most services have set themselves up and answered.
const SETTLING: u64 = 100_000_000;

/// What a tick of the engine's clock means for the guest.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tick {
    /// The slice began before this poll did: the guest continues.
    TooSoon,
    /// The slice is over: other tasks run.
    SliceOver,
    /// The guest may run no more.
    LimitReached,
}

impl Meter {
    pub fn new(limit: Option<Duration>, recorder: &Recorder) -> Self {
        let now = Now::read();
        Self {
            begin: now,
            mark: AtomicU64::new(0),
            reads_thread_time: AtomicBool::new(false),
            used: AtomicU64::new(0),
            end: AtomicU64::new(limit.map_or(NO_LIMIT, nanoseconds)),
            limit: limit.map_or(NO_LIMIT, nanoseconds),
            slice_over: AtomicBool::new(false),
            excess: AtomicU64::new(Decaying::new(0, now.milliseconds()).word()),
            saving_since: AtomicU64::new(0),
            untold: AtomicU64::new(0),
            unpaid: AtomicU64::new(0),
            told: AtomicU64::new(0),
            payer: OnceLock::new(),
            moves: AtomicU32::new(0),
            instance: AtomicU8::new(0),
            handled: AtomicU64::new(0),
            recorder: recorder.clone(),
        }
    }

    /// Sets the peer, once it is known. The account starts with its debt.
    pub fn set_payer(&self, payer: Box<dyn Payer>) {
        self.add_excess(nanoseconds(payer.debt()), Now::read());
        // It is set once.
        let _ = self.payer.set(payer);
    }

    /// Lets as much be charged from now on as from the beginning: for the next connection of the same guest.
    pub fn renew(&self) {
        let used = self.used.load(Ordering::Relaxed);
        self.end
            .store(used.saturating_add(self.limit), Ordering::Relaxed);
    }

    fn has_ended(&self, used: u64) -> bool {
        used > self.end.load(Ordering::Relaxed)
    }

    /// Returns the time charged so far.
    pub fn used(&self) -> Duration {
        Duration::from_nanos(self.used.load(Ordering::Relaxed))
    }

    /// Returns the time since the connection began.
    pub fn age(&self) -> Duration {
        Now::read().since(self.begin)
    }

    /// Returns how old the connection was at this time.
    pub fn age_at(&self, time: Instant) -> Duration {
        Now::of(time).since(self.begin)
    }

    /// Sets which instance the connection has, and counts one that is reused.
    pub fn set_instance(&self, instance: InstanceUse) {
        if instance == InstanceUse::Reused {
            self.recorder.add(Count::Reused, 1);
        }
        self.instance.store(instance as u8, Ordering::Relaxed);
        let age = u64::try_from(self.age().as_nanos()).unwrap_or(u64::MAX);
        self.handled.store(age.max(1), Ordering::Relaxed);
    }

    /// Returns how old the connection was when it got its instance.
    pub fn handled(&self) -> Option<Duration> {
        let age = self.handled.load(Ordering::Relaxed);
        (age > 0).then(|| Duration::from_nanos(age))
    }

    /// Returns which instance the connection has, if it was given to one.
    pub fn instance(&self) -> Option<InstanceUse> {
        let all = [InstanceUse::Fresh, InstanceUse::Reused, InstanceUse::Shared];
        let current = self.instance.load(Ordering::Relaxed);
        all.into_iter().find(|instance| *instance as u8 == current)
    }

    /// Returns what counts the time.
    pub fn recorder(&self) -> &Recorder {
        &self.recorder
    }

    /// Returns whether the connection has been there for a while: what it has used is typical of it.
    pub(super) fn has_settled(&self, now: Now) -> bool {
        now.0.saturating_sub(self.begin.0) >= SETTLING
    }

    /// Returns how many times the connection went to the background.
    pub fn moves(&self) -> u32 {
        self.moves.load(Ordering::Relaxed)
    }

    /// Counts that the connection goes to the background.
    pub(super) fn count_move(&self) {
        self.moves.fetch_add(1, Ordering::Relaxed);
        self.recorder.add(Count::Moves, 1);
    }

    /// Returns by how much the connection has exceeded its share, in microseconds, as far as that has not decayed until
    /// `now`.
    pub(super) fn excess(&self, now: Now) -> u32 {
        Decaying::from_word(self.excess.load(Ordering::Relaxed)).at(now.milliseconds())
    }

    /// Starts the clock: the guest is about to be polled.
    pub(super) fn begin_poll(&self, clock: Clock, now: Now) {
        let thread_time = match clock {
            Clock::Monotonic => None,
            Clock::Thread => sys::thread_time(),
        };
        self.reads_thread_time
            .store(thread_time.is_some(), Ordering::Relaxed);
        let mark = thread_time.map_or(now.0, nanoseconds);
        self.mark.store(mark, Ordering::Relaxed);
        self.slice_over.store(false, Ordering::Relaxed);
    }

    /// Charges the poll that ends `now`. Returns whether the guest used up a slice in it, rather than waiting for
    /// something.
    pub(super) fn end_poll(&self, now: Now) -> bool {
        self.charge(now);
        self.slice_over.load(Ordering::Relaxed)
    }

    /// Charges the guest at a tick of the engine's clock, which does not know when polls begin.
    pub(crate) fn tick(&self) -> Tick {
        let now = Now::read();
        let ran = self
            .read(now)
            .saturating_sub(self.mark.load(Ordering::Relaxed));
        if ran < nanoseconds(SLICE) / 2 {
            // Many short polls count as much as a long one.
            return match self.has_ended(self.used.load(Ordering::Relaxed).saturating_add(ran)) {
                true => Tick::LimitReached,
                false => Tick::TooSoon,
            };
        }
        let ran = self.charge(now);
        if self.has_ended(self.used.load(Ordering::Relaxed)) {
            return Tick::LimitReached;
        }
        if ran < nanoseconds(SLICE) / 2 {
            // Others had the core.
            return Tick::TooSoon;
        }
        self.slice_over.store(true, Ordering::Relaxed);
        Tick::SliceOver
    }

    /// Charges the time since the last charge. Returns it.
    fn charge(&self, now: Now) -> u64 {
        let read = self.read(now);
        let ran = read.saturating_sub(self.mark.swap(read, Ordering::Relaxed));
        let ran = match self.reads_thread_time.load(Ordering::Relaxed) {
            true => ran,
            false => as_far_as_the_thread_ran(ran),
        };
        let ran = ran.min(MOST_AT_ONCE);
        self.add(ran, now);
        ran
    }

    fn add(&self, time: u64, now: Now) {
        let excess = self.spend(time, now);
        self.add_excess(excess, now);
        self.unpaid.fetch_add(excess, Ordering::Relaxed);
        let untold = self.untold.fetch_add(time, Ordering::Relaxed) + time;
        let told = self.told.load(Ordering::Relaxed);
        if untold >= AMOUNT || now.0.saturating_sub(told) >= INTERVAL {
            self.told.store(now.0, Ordering::Relaxed);
            self.pay();
        }
        self.used.fetch_add(time, Ordering::Relaxed);
    }

    /// Takes this time from what the connection has saved. Returns how much is missing.
    fn spend(&self, time: u64, now: Now) -> u64 {
        let earliest = now.0.saturating_sub(MOST_SAVED * PART);
        let since = self.saving_since.load(Ordering::Relaxed).max(earliest);
        let saved = now.0.saturating_sub(since) / PART;
        let spent = time.min(saved);
        self.saving_since
            .store(since + spent * PART, Ordering::Relaxed);
        time - spent
    }

    fn add_excess(&self, time: u64, now: Now) {
        let excess = Decaying::from_word(self.excess.load(Ordering::Relaxed));
        let time = u32::try_from(time.saturating_add(500) / 1_000).unwrap_or(u32::MAX);
        let excess = excess.plus(time, now.milliseconds());
        self.excess.store(excess.word(), Ordering::Relaxed);
    }

    /// Adds to what exceeds the connection's share, in nanoseconds.
    #[cfg(test)]
    pub(super) fn charge_excess(&self, time: u64, now: Now) {
        self.add_excess(time, now);
    }

    /// Returns the excess of a guest that could have run between these times.
    pub(super) fn excess_of_ready(&self, since: Now, now: Now) -> u32 {
        self.excess(now).max(self.excess(since).min(KEPT))
    }

    /// Has less of the excess decay, since the guest could have run between these times.
    pub(super) fn forget_less(&self, since: Now, now: Now) {
        let excess = Decaying::new(self.excess_of_ready(since, now), now.milliseconds());
        self.excess.store(excess.word(), Ordering::Relaxed);
    }

    /// Returns what the peer has used, if that is known, in microseconds.
    pub(super) fn used_by_peer(&self) -> Option<u32> {
        let used = self.payer.get()?.used();
        Some(u32::try_from(used.as_micros()).unwrap_or(u32::MAX))
    }

    fn pay(&self) {
        let untold = self.untold.swap(0, Ordering::Relaxed);
        self.recorder.add(Count::CpuTime, untold);
        if let Some(payer) = self.payer.get() {
            let unpaid = self.unpaid.swap(0, Ordering::Relaxed);
            payer.charge(Duration::from_nanos(unpaid));
        }
    }

    /// Reads the clock of this poll.
    fn read(&self, now: Now) -> u64 {
        let of_thread = self.reads_thread_time.load(Ordering::Relaxed);
        let time = of_thread.then(sys::thread_time).flatten();
        time.map_or(now.0, nanoseconds)
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        if *self.untold.get_mut() > 0 || *self.unpaid.get_mut() > 0 {
            self.pay();
        }
    }
}

impl fmt::Debug for Meter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Meter")
            .field("used", &self.used())
            .field("excess", &self.excess(Now::read()))
            .finish_non_exhaustive()
    }
}

thread_local! {
    /// For how long this thread had run when that was last found out.
    static RAN: Cell<Duration> = const { Cell::new(Duration::ZERO) };
}

/// Finds out for how long this thread has run: a worker is about to wait.
pub(super) fn note_thread_time() {
    if let Some(time) = sys::thread_time() {
        RAN.set(time);
    }
}

/// Returns how much of this time the thread has run at most.
fn as_far_as_the_thread_ran(time: u64) -> u64 {
    if time < LONG {
        return time;
    }
    match sys::thread_time() {
        Some(ran) => time.min(nanoseconds(ran.saturating_sub(RAN.replace(ran)))),
        None => time.min(2 * nanoseconds(SLICE)),
    }
}

/// A time of the monotonic clock, in nanoseconds since it was first read in this process.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Now(pub u64);

impl Now {
    pub fn read() -> Self {
        Self::of(Instant::now())
    }

    fn of(time: Instant) -> Self {
        static START: LazyLock<Instant> = LazyLock::new(Instant::now);
        Self(nanoseconds(time.saturating_duration_since(*START)))
    }

    fn since(self, earlier: Self) -> Duration {
        Duration::from_nanos(self.0.saturating_sub(earlier.0))
    }

    /// Wraps around after 49 days, which [`Decaying`] expects.
    pub fn milliseconds(self) -> u32 {
        (self.0 / 1_000_000) as u32
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use std::sync::Mutex;

    /// Makes the guest run for a while without being charged.
    fn run_for(time: Duration) {
        let clock = || sys::thread_time().map_or_else(|| Now::read().0, nanoseconds);
        let end = clock() + nanoseconds(time);
        while clock() < end {
            std::hint::spin_loop();
        }
    }

    fn meter(limit: Option<Duration>) -> Meter {
        let meter = Meter::new(limit, &Recorder::default());
        meter.begin_poll(Clock::Thread, Now::read());
        meter
    }

    #[test]
    fn short_turns_use_up_the_limit_too() {
        let meter = meter(Some(SLICE));
        while meter.used() < SLICE {
            meter.begin_poll(Clock::Thread, Now::read());
            run_for(SLICE / 8);
            meter.end_poll(Now::read());
        }
        meter.begin_poll(Clock::Thread, Now::read());
        run_for(SLICE / 100);
        assert_eq!(meter.tick(), Tick::LimitReached);
    }

    #[test]
    fn a_guest_that_does_not_wait_has_used_up_its_slice() {
        let meter = meter(None);
        run_for(SLICE);
        assert_eq!(meter.tick(), Tick::SliceOver);
        assert!(meter.end_poll(Now::read()));
        meter.begin_poll(Clock::Thread, Now::read());
        assert!(!meter.end_poll(Now::read()));
    }

    #[test]
    fn the_limit_is_of_all_turns_together() {
        let meter = meter(Some(10 * SLICE));
        while meter.used() < 10 * SLICE {
            meter.begin_poll(Clock::Thread, Now::read());
            run_for(SLICE);
            meter.end_poll(Now::read());
        }
        meter.begin_poll(Clock::Thread, Now::read());
        run_for(SLICE);
        assert_eq!(meter.tick(), Tick::LimitReached);
    }

    #[test]
    fn a_renewed_limit_is_that_of_what_follows() {
        let meter = meter(Some(10 * SLICE));
        meter.add(nanoseconds(10 * SLICE), Now::read());
        meter.renew();
        meter.begin_poll(Clock::Thread, Now::read());
        run_for(SLICE);
        assert_eq!(meter.tick(), Tick::SliceOver);
        meter.add(nanoseconds(10 * SLICE), Now::read());
        run_for(SLICE);
        assert_eq!(meter.tick(), Tick::LimitReached);
    }

    #[test]
    fn waiting_is_not_charged() {
        let meter = meter(None);
        note_thread_time();
        meter.begin_poll(Clock::Monotonic, Now::read());
        let before = sys::thread_time();
        std::thread::sleep(20 * SLICE);
        meter.end_poll(Now::read());
        // Elsewhere, it is no more than two slices.
        let ran = sys::thread_time().zip(before);
        let most = ran.map_or(2 * SLICE, |(after, before)| after - before + SLICE);
        assert!(meter.used() <= most, "{:?} {most:?}", meter.used());
    }

    struct Account(Arc<Mutex<Vec<Duration>>>);

    impl Payer for Account {
        fn charge(&self, time: Duration) {
            self.0.lock().expect("no panic").push(time);
        }

        fn debt(&self) -> Duration {
            Duration::from_millis(50)
        }

        fn used(&self) -> Duration {
            paid(&self.0)
        }
    }

    fn paid(paid: &Mutex<Vec<Duration>>) -> Duration {
        paid.lock().expect("no panic").iter().sum()
    }

    #[test]
    fn the_peer_pays_for_what_is_not_light() {
        let payments = Arc::default();
        let meter = meter(None);
        let spend = |time: u64| meter.add(time * 1_000, Now::read());
        spend(70);
        meter.set_payer(Box::new(Account(Arc::clone(&payments))));
        assert!(meter.excess(Now::read()) > 40_000);
        spend(7_000);
        // What was saved in the meantime depends on the machine.
        let least = Duration::from_micros(6_970 - 100);
        let most = Duration::from_micros(7_070);
        assert!((least..=most).contains(&paid(&payments)), "{:?}", payments);
        spend(3);
        drop(meter);
        assert!(paid(&payments) > least);
    }

    #[test]
    fn light_connections_cost_their_peer_nothing() {
        let payments = Arc::default();
        let meter = meter(None);
        meter.set_payer(Box::new(Account(Arc::clone(&payments))));
        for millisecond in 1_000..2_000 {
            // One part in 200.
            meter.add(5_000, Now(millisecond * 1_000_000));
        }
        let payments = payments.lock().expect("no panic");
        assert!(payments.len() >= 49, "it is told");
        assert!(payments.iter().all(Duration::is_zero), "{payments:?}");
    }

    #[test]
    fn a_peer_that_seldom_sends_is_told_that_it_is_active() {
        let payments = Arc::default();
        let meter = meter(None);
        meter.set_payer(Box::new(Account(Arc::clone(&payments))));
        for millisecond in (1_000..2_000).step_by(100) {
            meter.add(1_000, Now(millisecond * 1_000_000));
        }
        assert_eq!(payments.lock().expect("no panic").len(), 10);
    }
}
