//! How many connections may be accepted now: as many as there are permits and tokens, and at most as many
//! as in one iteration.

use crate::AcceptRate;
use crate::listener::{LocalPermits, Permit, PermitSource, TokenSource};
#[cfg(unix)]
use crate::quota::{Intake, Member, Share};
use crate::runtime::Shortage;
use std::future::pending;
use std::num::NonZeroU32;
use std::sync::Arc;
use std::time::Instant;
use tokio::sync::OwnedSemaphorePermit;

/// How fast connections are accepted.
#[derive(Clone, Debug)]
pub(crate) struct Pace {
    /// The most connections that are accepted in one iteration if tasks handle them, so that none of them
    /// waits long for the last.
    pub per_turn: NonZeroU32,
    pub rate: Option<AcceptRate>,
}

impl Default for Pace {
    fn default() -> Self {
        const PER_TURN: NonZeroU32 = NonZeroU32::MIN.saturating_add(63);
        Self {
            per_turn: PER_TURN,
            rate: None,
        }
    }
}

/// How many events may be taken now.
pub(super) enum Capacity {
    /// None, until something changes.
    None,
    /// None, until there is memory for the instances that wait to be made.
    WaitForInstances(Shortage),
    /// None, until a permit is free.
    WaitFor(PermitSource),
    /// None until this time, so that other processes take them first.
    #[cfg(unix)]
    Pause(Instant),
    /// None, until there is a token: at this time, or when one is given back.
    WaitUntil(Instant),
    /// Up to this many.
    For(u32),
}

/// Permits for future connections. Each is taken before its connection is accepted, and given back if no
/// connection has arrived, since another listener may need it.
#[derive(Default)]
pub(super) enum Permits {
    #[default]
    None,
    Local(OwnedSemaphorePermit),
    #[cfg(unix)]
    Shared(Intake),
}

impl Permits {
    /// Takes as many permits as one iteration may need.
    pub fn fill(&mut self, source: &PermitSource, per_turn: NonZeroU32) -> Capacity {
        self.keep_only(source);
        match source {
            PermitSource::Local(permits) => self.fill_local(permits, per_turn),
            #[cfg(unix)]
            PermitSource::Shared(member) => match self.intake(member).fill(per_turn) {
                Share::None => Capacity::WaitFor(source.clone()),
                Share::Later(until) => Capacity::Pause(until),
                Share::UpTo(count) => Capacity::For(count),
            },
        }
    }

    fn fill_local(&mut self, permits: &LocalPermits, per_turn: NonZeroU32) -> Capacity {
        let semaphore = permits.semaphore();
        let batch = per_turn.get() as usize;
        let wanted = batch.saturating_sub(self.count());
        let free = wanted.min(semaphore.available_permits());
        if free > 0
            && let Ok(taken) = Arc::clone(semaphore).try_acquire_many_owned(free as u32)
        {
            self.add(taken);
        }
        match self.count() {
            0 => Capacity::WaitFor(PermitSource::Local(permits.clone())),
            count => Capacity::For(count.min(batch) as u32),
        }
    }

    /// Returns one of the permits that were taken, or a new one.
    pub fn one(&mut self, source: &PermitSource) -> Option<Permit> {
        self.keep_only(source);
        match source {
            PermitSource::Local(permits) => {
                let held = match self {
                    Self::Local(held) => held.split(1),
                    _ => None,
                };
                let take = || Arc::clone(permits.semaphore()).try_acquire_owned().ok();
                held.or_else(take).map(|permit| permits.permit(permit))
            }
            #[cfg(unix)]
            PermitSource::Shared(member) => self.intake(member).one().map(Permit::Shared),
        }
    }

    /// Waits until there may be capacity, if there is none for want of a permit or of memory.
    pub async fn wait(&mut self, capacity: &Capacity) {
        match capacity {
            Capacity::WaitFor(source) => {
                self.keep_only(source);
                match source {
                    PermitSource::Local(permits) => {
                        match Arc::clone(permits.semaphore()).acquire_owned().await {
                            Ok(permit) => self.add(permit),
                            // Nothing closes the semaphore.
                            Err(_) => pending().await,
                        }
                    }
                    #[cfg(unix)]
                    PermitSource::Shared(member) => self.intake(member).wait().await,
                }
            }
            #[cfg(unix)]
            Capacity::Pause(until) => {
                if let Self::Shared(intake) = self {
                    intake.pause(*until).await;
                }
            }
            Capacity::WaitForInstances(shortage) => shortage.over().await,
            Capacity::None | Capacity::WaitUntil(_) | Capacity::For(_) => pending().await,
        }
    }

    /// Returns whether another process may have taken a connection that woke this acceptor.
    pub fn have_rivals(&self) -> bool {
        match self {
            #[cfg(unix)]
            Self::Shared(intake) => intake.has_rivals(),
            _ => false,
        }
    }

    /// Gives all permits back while no connection arrives.
    pub fn give_back(&mut self) {
        match self {
            #[cfg(unix)]
            Self::Shared(intake) => intake.give_back(),
            _ => *self = Self::None,
        }
    }

    fn add(&mut self, taken: OwnedSemaphorePermit) {
        match self {
            Self::Local(held) => held.merge(taken),
            _ => *self = Self::Local(taken),
        }
    }

    fn count(&self) -> usize {
        match self {
            Self::Local(held) => held.num_permits(),
            _ => 0,
        }
    }

    #[cfg(unix)]
    fn intake(&mut self, member: &Member) -> &mut Intake {
        loop {
            match self {
                Self::Shared(intake) => return intake,
                _ => *self = Self::Shared(Intake::new(member.clone())),
            }
        }
    }

    /// Gives back the permits of another source, whose callback was replaced.
    fn keep_only(&mut self, source: &PermitSource) {
        let is_ours = match (&*self, source) {
            (Self::None, _) => true,
            (Self::Local(held), PermitSource::Local(permits)) => {
                Arc::ptr_eq(held.semaphore(), permits.semaphore())
            }
            #[cfg(unix)]
            (Self::Shared(intake), PermitSource::Shared(member)) => intake.member().is(member),
            #[cfg(unix)]
            _ => false,
        };
        if !is_ours {
            *self = Self::None;
        }
    }
}

/// Tokens for future connections. They are taken and given back as permits are.
pub(super) struct Tokens {
    source: Option<TokenSource>,
    held: u32,
}

impl Tokens {
    pub fn of(rate: Option<AcceptRate>) -> Self {
        let source = rate.map(AcceptRate::source);
        Self { source, held: 0 }
    }

    /// Takes up to `max` tokens.
    pub fn fill(&mut self, max: u32) -> Capacity {
        let Some(source) = &self.source else {
            return Capacity::For(max);
        };
        if self.held < max {
            match source.take(max - self.held) {
                Ok(taken) => self.held += taken,
                Err(next) if self.held == 0 => return Capacity::WaitUntil(next),
                Err(_) => {}
            }
        }
        Capacity::For(self.held.min(max))
    }

    /// Records that `count` connections were accepted.
    pub fn spend(&mut self, count: u64) {
        let count = u32::try_from(count).unwrap_or(u32::MAX);
        self.held = self.held.saturating_sub(count);
    }

    /// Gives all tokens back while no connection arrives.
    pub fn give_back(&mut self) {
        let held = std::mem::take(&mut self.held);
        if let Some(source) = &self.source {
            source.give_back(held);
        }
    }

    /// Waits until a token may be available.
    pub async fn wait(&mut self, until: Instant) {
        if let Some(source) = &mut self.source {
            source.wait(until).await;
        }
    }
}

impl Drop for Tokens {
    fn drop(&mut self) {
        self.give_back();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::sync::Semaphore;

    fn turn(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).expect("not 0")
    }

    fn source(permits: usize) -> (Arc<Semaphore>, PermitSource) {
        let permits = LocalPermits::new(permits, 0);
        let semaphore = Arc::clone(permits.semaphore());
        (semaphore, PermitSource::Local(permits))
    }

    fn capacity(capacity: Capacity) -> u32 {
        match capacity {
            Capacity::For(count) => count,
            _ => 0,
        }
    }

    #[test]
    fn capacity_is_that_of_the_permits() {
        let (semaphore, source) = source(3);
        let mut permits = Permits::default();
        assert_eq!(capacity(permits.fill(&source, turn(64))), 3);
        let one = permits.one(&source);
        assert!(one.is_some());
        assert_eq!(capacity(permits.fill(&source, turn(64))), 2);
        assert_eq!(semaphore.available_permits(), 0);
        drop(one);
        assert_eq!(capacity(permits.fill(&source, turn(64))), 3);
    }

    #[test]
    fn no_more_than_for_one_turn_are_held() {
        let (semaphore, source) = source(1_000);
        let mut permits = Permits::default();
        assert_eq!(capacity(permits.fill(&source, turn(64))), 64);
        assert_eq!(capacity(permits.fill(&source, turn(64))), 64);
        assert_eq!(semaphore.available_permits(), 1_000 - 64);
    }

    #[test]
    fn permits_that_are_given_back_are_there_for_another_listener() {
        let (_semaphore, source) = source(1);
        let (mut one, mut other) = (Permits::default(), Permits::default());
        assert_eq!(capacity(one.fill(&source, turn(64))), 1);
        assert!(matches!(
            other.fill(&source, turn(64)),
            Capacity::WaitFor(_)
        ));
        one.give_back();
        assert_eq!(capacity(other.fill(&source, turn(64))), 1);
    }

    #[test]
    fn permits_of_a_callback_that_was_replaced_are_given_back() {
        let (semaphore, old) = source(2);
        let (_none, new) = source(0);
        let mut permits = Permits::default();
        assert_eq!(capacity(permits.fill(&old, turn(64))), 2);
        assert!(matches!(permits.fill(&new, turn(64)), Capacity::WaitFor(_)));
        assert_eq!(semaphore.available_permits(), 2);
        assert!(permits.one(&new).is_none());
    }

    #[test]
    fn capacity_is_that_of_the_tokens() {
        let rate = AcceptRate::per_second(turn(1)).burst(turn(3));
        let (mut one, mut other) = (Tokens::of(Some(rate.clone())), Tokens::of(Some(rate)));
        assert_eq!(capacity(one.fill(64)), 3);
        assert!(matches!(other.fill(64), Capacity::WaitUntil(_)));
        one.spend(1);
        assert_eq!(capacity(one.fill(1)), 1);
        assert_eq!(capacity(one.fill(64)), 2);
        one.give_back();
        assert_eq!(capacity(other.fill(64)), 2);
        drop(other);
        assert_eq!(capacity(one.fill(64)), 2);
    }

    #[test]
    fn without_a_rate_there_are_tokens_for_all() {
        let mut tokens = Tokens::of(None);
        assert_eq!(capacity(tokens.fill(64)), 64);
        tokens.spend(64);
        assert_eq!(capacity(tokens.fill(7)), 7);
    }
}
