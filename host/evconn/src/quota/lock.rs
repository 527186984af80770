//! The lock of the shared memory. It contains its holder, so that it can be taken away from a process that
//! is gone.

use super::memory::Memory;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// A holder of the lock: a member, as its number plus 1, or the supervisor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Holder(u32);

impl Holder {
    /// The process that creates the quota and releases members.
    pub const SUPERVISOR: Self = Self(1 << 16 | 1);

    pub fn member(number: u16) -> Self {
        Self(u32::from(number) + 1)
    }

    /// Returns the member, if it is one of the first `members`.
    pub fn as_member(self, members: u16) -> Option<u16> {
        let number = u16::try_from(self.0.checked_sub(1)?).ok()?;
        (number < members).then_some(number)
    }
}

/// Set in the lock while a thread may be waiting for it.
const AWAITED: u32 = 1 << 31;

/// How many times to check the lock before sleeping: it is held for less than a microsecond, unless its
/// holder has been preempted or stopped.
const SPINS: u32 = 100;

/// How long to sleep before checking again, even if nobody wakes this thread: a process may die before it
/// has woken the others.
const NAP: Duration = Duration::from_millis(5);

/// How to wait for the lock.
#[derive(Clone, Copy)]
pub(super) struct Terms {
    pub holder: Holder,
    /// The number of members: nobody else can have the lock.
    pub members: u16,
    /// A member whose process is gone.
    pub gone: Option<u16>,
    /// How long to wait for the same holder before the lock is taken away from it.
    pub patience: Duration,
}

/// The lock, held by this process.
pub(super) struct Locked<'a> {
    lock: &'a AtomicU32,
    holder: Holder,
    /// The holder from which it was taken away.
    pub taken_from: Option<Holder>,
    subject: &'a dyn Subject,
}

/// What the lock guards.
pub(super) trait Subject {
    /// Returns how many times the lock was taken.
    fn generation(&self) -> u64;

    /// Called if the lock turns out to have been taken away from this process while it held it.
    fn lost(&self);
}

/// Takes the lock.
pub(super) fn lock<'a>(memory: &'a Memory, terms: Terms, subject: &'a dyn Subject) -> Locked<'a> {
    let lock = memory.lock();
    let taken_from = match take(lock, 0, terms.holder.0) {
        Ok(()) => None,
        Err(_) => wait(lock, terms, subject),
    };
    Locked {
        lock,
        holder: terms.holder,
        taken_from,
        subject,
    }
}

/// Returns who has the lock.
pub(super) fn holder(memory: &Memory) -> Option<Holder> {
    let word = memory.lock().load(Ordering::Acquire) & !AWAITED;
    (word != 0).then_some(Holder(word))
}

fn take(lock: &AtomicU32, current: u32, new: u32) -> Result<(), u32> {
    let taken = lock.compare_exchange(current, new, Ordering::Acquire, Ordering::Relaxed);
    taken.map(drop)
}

/// Waits for the lock. Returns the holder from which it was taken away, if it was.
fn wait(lock: &AtomicU32, terms: Terms, subject: &dyn Subject) -> Option<Holder> {
    let mut spins = 0;
    let mut watched = Watched::default();
    loop {
        let word = lock.load(Ordering::Relaxed);
        let holder = Holder(word & !AWAITED);
        if holder.0 == 0 {
            // Other threads may be waiting, too.
            let new = if spins < SPINS { 0 } else { AWAITED } | terms.holder.0;
            if take(lock, word, new).is_ok() {
                return None;
            }
            continue;
        }
        let is_known = holder == Holder::SUPERVISOR || holder.as_member(terms.members).is_some();
        let is_gone = terms.gone.map(Holder::member) == Some(holder);
        let is_stopped =
            spins == SPINS && watched.held_for(holder, subject.generation()) >= terms.patience;
        if !is_known || is_gone || is_stopped {
            if take(lock, word, terms.holder.0 | AWAITED).is_ok() {
                return Some(holder);
            }
        } else if spins < SPINS {
            spins += 1;
            std::hint::spin_loop();
        } else if word & AWAITED != 0 || take(lock, word, word | AWAITED).is_ok() {
            nap(lock, word | AWAITED);
        }
    }
}

/// Measures for how long a holder has held the lock.
#[derive(Default)]
struct Watched {
    last: Option<(Holder, u64, Instant)>,
    time: Duration,
}

impl Watched {
    /// Returns for how long `holder` has been observed to hold the lock, in this generation of it.
    fn held_for(&mut self, holder: Holder, generation: u64) -> Duration {
        let now = Instant::now();
        self.time = match self.last {
            // If this process was stopped in between, the holder may have been stopped, too.
            Some((by, times, then)) if (by, times) == (holder, generation) => {
                self.time + now.duration_since(then).min(10 * NAP)
            }
            _ => Duration::ZERO,
        };
        self.last = Some((holder, generation, now));
        self.time
    }
}

impl Drop for Locked<'_> {
    fn drop(&mut self) {
        // In tests, a panic stands for the death of the process. Nothing else panics here.
        if cfg!(test) && std::thread::panicking() {
            return;
        }
        let ours = |word| (word & !AWAITED == self.holder.0).then_some(0);
        let (set, get) = (Ordering::Release, Ordering::Relaxed);
        match self.lock.fetch_update(set, get, ours) {
            Ok(word) if word & AWAITED != 0 => wake_one(self.lock),
            Ok(_) => {}
            Err(_) => self.subject.lost(),
        }
    }
}

/// Sleeps until another process wakes this thread, for up to [`NAP`], if the lock still has this value.
#[cfg(target_os = "linux")]
fn nap(lock: &AtomicU32, word: u32) {
    use rustix::thread::futex::{Flags, wait};
    let nap = rustix::time::Timespec {
        tv_sec: 0,
        tv_nsec: NAP.subsec_nanos().into(),
    };
    // An error means that the value is another one, or that the time is over.
    let _ = wait(lock, Flags::empty(), word, Some(&nap));
}

#[cfg(target_os = "linux")]
fn wake_one(lock: &AtomicU32) {
    // No error is possible: the address is valid.
    let _ = rustix::thread::futex::wake(lock, rustix::thread::futex::Flags::empty(), 1);
}

#[cfg(not(target_os = "linux"))]
fn nap(_lock: &AtomicU32, _word: u32) {
    // Nothing wakes this thread earlier.
    std::thread::sleep(NAP / 50);
}

#[cfg(not(target_os = "linux"))]
fn wake_one(_lock: &AtomicU32) {}
