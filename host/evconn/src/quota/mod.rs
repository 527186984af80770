//! The limits of a server that consists of several processes: how many connections are open, how many
//! handshakes are under way, how many of each peer, and how many connections are accepted per second, counted
//! exactly in memory that they share; and how far peers have used up their rates.
//!
//! Any of the processes may be stopped or killed at any instant: what it had is counted until it is released.
//! Nothing that a process writes to the memory makes another one crash, hang or access anything else.
//! Starting the processes, and noticing that one is gone, is the caller's task.

mod balance;
mod bell;
mod intake;
mod layout;
mod lock;
mod member;
mod memory;
mod peers;
mod table;
#[cfg(test)]
mod tests;

pub(crate) use intake::{Intake, Share};
pub use member::Member;
pub(crate) use member::{Permit, Tokens};

use crate::Limits;
use crate::metrics::Served;
#[cfg(feature = "metrics")]
use crate::metrics::{Process, Snapshot, Source};
use bell::Bell;
use layout::{Layout, Slot, state};
use memory::Memory;
use std::fmt;
use std::io;
use std::num::NonZeroU32;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use table::{Ring, Table};

/// The limits of a server that consists of several processes, in memory that they share: the maximum
/// number of connections and of handshakes, of all peers and of each, the rate at which connections are
/// accepted, and the rates of each peer. They are those of all processes together, whenever one of them dies.
///
/// One process creates the quota and passes its [`descriptors`](Self::descriptors) to others, which
/// [`open`](Self::open) it. A process that serves connections [`join`](Self::join)s as a member and gives the
/// [`Member`] to its server. When a member's process has ended, in whatever way, another process has to
/// [`release`](Self::release) it. Cloning is cheap.
///
/// ```
/// use evconn::{Limits, Quota};
///
/// let limits = Limits { max_connections: 100, ..Limits::default() };
/// let quota = Quota::create(&limits, None, 2)?;
/// // Usually in other processes, which have inherited the descriptors.
/// let [memory, bell] = quota.descriptors();
/// let same = Quota::open(memory.try_clone_to_owned()?, bell.try_clone_to_owned()?)?;
/// let member = same.join(0, 100);
/// // Server::builder(&service).member(member) …
/// assert_eq!(quota.open_connections(), 0);
/// // Its process is gone.
/// assert_eq!(quota.release(0), 0);
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Quota(Arc<Inner>);

struct Inner {
    table: Table,
    bell: Bell,
    /// The holder of the lock that [`Quota::stuck`] has seen, the generation of the lock, and the time of the
    /// first such observation.
    observed: Mutex<Option<(lock::Holder, u64, Instant)>>,
}

/// How long a member may hold the lock. It holds it for less than a microsecond, unless it is stopped.
const STUCK: Duration = Duration::from_millis(500);

impl Quota {
    /// Creates a quota for up to this number of members. It has these limits:
    /// [`max_connections`](Limits::max_connections),
    /// [`max_connections_per_peer`](Limits::max_connections_per_peer),
    /// [`max_handshakes`](Limits::max_handshakes),
    /// [`max_handshakes_per_peer`](Limits::max_handshakes_per_peer),
    /// [`accept_rate_per_peer`](Limits::accept_rate_per_peer),
    /// [`limit_rate_per_peer`](Limits::limit_rate_per_peer) and
    /// [`peer_ipv6_prefix`](Limits::peer_ipv6_prefix); and the number of connections that are accepted per
    /// second, as many of which may be accepted at once.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidInput`] if there are no members, or more than 16,777,216 connections;
    /// otherwise the operating system's error if the memory cannot be created.
    pub fn create(
        limits: &Limits,
        accept_rate: Option<NonZeroU32>,
        members: u16,
    ) -> io::Result<Self> {
        let layout = Layout::new(limits, accept_rate, members)?;
        let table = Table::create(layout, now())?;
        let bell = Bell::create(table.memory.descriptor())?;
        Ok(Self::new(table, bell))
    }

    /// Opens the quota that another process has created.
    ///
    /// # Errors
    /// [`io::ErrorKind::InvalidData`] if `memory` is not that of a quota of this version; otherwise the
    /// operating system's error if it cannot be mapped.
    pub fn open(memory: OwnedFd, bell: OwnedFd) -> io::Result<Self> {
        let memory = Memory::open(memory)?;
        let layout = Layout::read(&memory)?;
        Ok(Self::new(Table { memory, layout }, Bell::open(bell)))
    }

    fn new(table: Table, bell: Bell) -> Self {
        Self(Arc::new(Inner {
            table,
            bell,
            observed: Mutex::default(),
        }))
    }

    /// Returns the descriptors that another process needs to [`open`](Self::open) the quota: its memory and
    /// its bell. Both are close-on-exec.
    pub fn descriptors(&self) -> [BorrowedFd<'_>; 2] {
        [self.0.table.memory.descriptor(), self.0.bell.as_fd()]
    }

    /// Makes this process a member. It can have up to `capacity` of the connections at a time.
    ///
    /// # Panics
    /// If the quota has no such member: they are counted from 0.
    pub fn join(&self, member: u16, capacity: usize) -> Member {
        let members = self.0.table.layout.members;
        assert!(member < members, "member {member} of {members}");
        let table = &self.0.table;
        let process = table.layout.slot(member, Slot::Process);
        table.memory.set(process, std::process::id().into());
        Member::new(self.clone(), member, capacity)
    }

    /// Frees all that a member has whose process is gone, and returns how many connections it had. These
    /// count as failed, and its counts are added to those of past members. After that, another process can
    /// join as this member.
    ///
    /// If another member was stopped while it held the lock of the memory, this takes half a second, and
    /// [`stuck`](Self::stuck) returns that member afterwards.
    ///
    /// # Panics
    /// If the quota has no such member.
    pub fn release(&self, member: u16) -> usize {
        let members = self.0.table.layout.members;
        assert!(member < members, "member {member} of {members}");
        let had = self.0.table.release(member, now());
        // The member may have died before it could ring.
        self.0.bell.ring();
        had
    }

    /// Returns how many connections are open.
    pub fn open_connections(&self) -> usize {
        self.0.table.open()
    }

    /// Returns how many connections of a member are open.
    ///
    /// # Panics
    /// If the quota has no such member.
    pub fn connections_of(&self, member: u16) -> usize {
        let members = self.0.table.layout.members;
        assert!(member < members, "member {member} of {members}");
        self.0.table.open_of(member)
    }

    /// Returns the counts of all members together, including past ones.
    pub fn served(&self) -> Served {
        Served::of(&self.0.table.counted())
    }

    /// Returns the metrics of all members together, including past ones.
    #[cfg(feature = "metrics")]
    pub fn metrics(&self) -> crate::Metrics {
        crate::Metrics::of(self.clone())
    }

    /// Returns for how long no connection has been open, or None while one is.
    pub fn idle_for(&self) -> Option<Duration> {
        let Table { memory, .. } = &self.0.table;
        if self.0.table.open() > 0 {
            return None;
        }
        let since = memory.get(state::LAST_RELEASE);
        Some(Duration::from_nanos(now().saturating_sub(since)))
    }

    /// Returns a member that was stopped while it held the lock of the memory, for which the others wait: it
    /// has held it for more than half a second, from an earlier call of this function to this one, rather
    /// than for less than a microsecond. Kill its process, and [`release`](Self::release) it.
    pub fn stuck(&self) -> Option<u16> {
        let table = &self.0.table;
        let members = table.layout.members;
        let has_lost_lock = |member: &u16| table.of_slot(*member, Slot::LockLost) != 0;
        if let Some(member) = (0..members).find(has_lost_lock) {
            return Some(member);
        }
        let mut observed = self
            .0
            .observed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let Some((holder, generation)) = table.holder() else {
            *observed = None;
            return None;
        };
        match *observed {
            Some((by, times, since)) if (by, times) == (holder, generation) => holder
                .as_member(members)
                .filter(|_| since.elapsed() > STUCK),
            _ => {
                *observed = Some((holder, generation, Instant::now()));
                None
            }
        }
    }
}

impl Quota {
    /// Returns the state of each member.
    fn members(&self) -> Vec<MemberState> {
        let table = &self.0.table;
        let state = |member| MemberState {
            open: table.open_of(member),
            entries: table.of_slot(member, Slot::Entries),
            accepting: table.of_slot(member, Slot::Accepting),
        };
        let all = (0..table.layout.members).map(state);
        all.filter(|state| *state != MemberState::default())
            .collect()
    }
}

#[cfg(feature = "metrics")]
impl Source for Quota {
    fn snapshot(&self) -> Snapshot {
        self.0.table.counted()
    }

    fn processes(&self) -> Vec<Process> {
        let Table { memory, layout } = &self.0.table;
        let this = u64::from(std::process::id());
        let members = (0..layout.members).filter_map(|member| {
            let id = memory.get(layout.slot(member, Slot::Process));
            let id = u32::try_from(id).ok().filter(|id| *id != 0);
            id.filter(|id| u64::from(*id) != this)
                .map(|id| Process::Member { number: member, id })
        });
        [Process::This].into_iter().chain(members).collect()
    }
}

/// What [`Quota`]'s `Debug` shows of a member that has anything.
#[derive(Debug, Default, PartialEq, Eq)]
#[allow(dead_code, reason = "the fields are for `Debug`")]
struct MemberState {
    open: usize,
    entries: usize,
    accepting: usize,
}

impl Inner {
    fn ring(&self, Ring(is_awaited): Ring) {
        if is_awaited {
            self.bell.ring();
        }
    }
}

impl fmt::Debug for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Quota")
            .field("layout", &self.0.table.layout)
            .field("open", &self.open_connections())
            .field("members", &self.members())
            .finish_non_exhaustive()
    }
}

/// Returns the time of the monotonic clock, which all processes share, in nanoseconds.
fn now() -> u64 {
    let now = rustix::time::clock_gettime(rustix::time::ClockId::Monotonic);
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    seconds * 1_000_000_000 + u64::try_from(now.tv_nsec).unwrap_or(0)
}

/// Adds what failed to an error of the operating system.
fn named(what: &'static str) -> impl FnOnce(rustix::io::Errno) -> io::Error {
    move |error| {
        let error = io::Error::from(error);
        io::Error::new(error.kind(), format!("{what}: {error}"))
    }
}
