//! The permits that an acceptor takes from the quota: as many as are free, up to its share.

use super::balance::{FEW, PAUSE, SEQUENCE};
use super::bell::BellWaiter;
use super::member::{Member, Permit};
use std::num::NonZeroU32;
use std::time::Instant;
use tokio::sync::watch;

/// How many connections an acceptor may take now.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Share {
    /// None, until something is given back: see [`Intake::wait`].
    None,
    /// None until this time, so that others take them first: see [`Intake::pause`].
    Later(Instant),
    /// Up to this many, not 0.
    UpTo(u32),
}

/// The permits of one acceptor that no connection has used yet.
pub(crate) struct Intake {
    member: Member,
    entries: Vec<u32>,
    /// Whether this acceptor is counted as one that accepts.
    accepts: bool,
    /// Connections are left to others until this time.
    paused_until: Option<Instant>,
    given_back: watch::Receiver<()>,
    waiter: BellWaiter,
}

impl Intake {
    pub fn new(member: Member) -> Self {
        Self {
            given_back: member.given_back(),
            member,
            entries: Vec::new(),
            accepts: false,
            paused_until: None,
            waiter: BellWaiter::default(),
        }
    }

    pub fn member(&self) -> &Member {
        &self.member
    }

    /// Takes as many permits as one iteration may need.
    pub fn fill(&mut self, per_turn: NonZeroU32) -> Share {
        let most = match self.share() {
            Ok(share) => share.min(per_turn.get() as usize),
            Err(until) => return Share::Later(until),
        };
        self.take(most);
        match self.entries.len() {
            0 => Share::None,
            count => Share::UpTo(count.min(most) as u32),
        }
    }

    /// Returns one of the permits that were taken, or a new one.
    pub fn one(&mut self) -> Option<Permit> {
        self.take(1);
        let entry = self.entries.pop()?;
        Some(Permit::new(&self.member, entry))
    }

    /// Gives all permits back while no connection arrives.
    pub fn give_back(&mut self) {
        if !self.entries.is_empty() {
            self.member.free(&self.entries);
            self.entries.clear();
        }
    }

    /// Waits until a permit may be free.
    pub async fn wait(&mut self) {
        tokio::select! {
            () = self.member.rung(&mut self.waiter) => {}
            // The member keeps the sender.
            _ = self.given_back.changed() => {}
        }
    }

    /// Waits until others have had the time to take the connections, or one of this process has ended.
    pub async fn pause(&mut self, until: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            // The member keeps the sender.
            _ = self.given_back.changed() => {}
        }
    }

    /// Returns whether other members accept, too: one of them may have been faster.
    pub fn has_rivals(&self) -> bool {
        self.member.has_rivals()
    }

    /// Returns how many connections may be taken for the sake of balance, or the time until which none may.
    fn share(&mut self) -> Result<usize, Instant> {
        if self.member.leaves_next() {
            self.set_accepts(true);
            return Err(Instant::now() + SEQUENCE);
        }
        if let Some(share) = self.member.share() {
            self.paused_until = None;
            return Ok(share);
        }
        let now = Instant::now();
        match self.paused_until {
            None => {
                self.set_accepts(true);
                self.given_back.mark_unchanged();
                Err(*self.paused_until.insert(now + PAUSE))
            }
            Some(until) if now < until => Err(until),
            Some(_) => {
                self.paused_until = None;
                Ok(FEW)
            }
        }
    }

    /// Takes permits until there are `count`.
    fn take(&mut self, count: usize) {
        let wanted = count.saturating_sub(self.entries.len());
        if wanted > 0 {
            // From now on, entries that are given back are noticed.
            self.given_back.mark_unchanged();
            self.member.take(wanted, &mut self.entries);
            self.set_accepts(!self.entries.is_empty());
        }
    }

    fn set_accepts(&mut self, accepts: bool) {
        if self.accepts != accepts {
            self.accepts = accepts;
            self.member.set_accepting(accepts);
        }
    }
}

impl Drop for Intake {
    fn drop(&mut self) {
        self.set_accepts(false);
        self.give_back();
    }
}
