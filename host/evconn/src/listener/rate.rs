//! Limits how many connections are accepted per second, with a token bucket.
//!
//! The [`acceptor`](crate::listener::acceptor) takes the tokens.

use crate::limits::Bucket;
#[cfg(unix)]
use crate::quota::{self, Member};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::Notify;

/// Limits how many connections are accepted per second.
///
/// It is a token bucket: each connection takes a token before it is accepted. Tokens are added at a
/// constant rate, up to a [`burst`](Self::burst). While there is no token, peers wait in the accept
/// queue; they are not refused.
///
/// Cloning is cheap. Clones share the bucket, so listeners with clones share the rate.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evconn::{AcceptRate, Host, Listener};
/// use std::num::NonZeroU32;
///
/// let count = |count| NonZeroU32::new(count).expect("not 0");
/// let rate = AcceptRate::per_second(count(100)).burst(count(500));
/// let host = Host::new()?;
/// let builder = Listener::builder(&host).accept_rate(rate);
/// let one = builder.clone().bind("127.0.0.1:0".parse()?).await?;
/// let other = builder.bind("127.0.0.1:0".parse()?).await?;
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug)]
pub struct AcceptRate(Kind);

#[derive(Clone, Debug)]
enum Kind {
    /// For this process alone.
    Local(Arc<Shared>),
    /// For all processes of a quota.
    #[cfg(unix)]
    Quota(Member),
}

#[derive(Debug)]
pub(crate) struct Shared {
    /// The bucket counts time from here on.
    start: Instant,
    bucket: Mutex<Bucket>,
    /// Notified when tokens are given back: one waiting task, or the next one that waits.
    given_back: Notify,
}

impl AcceptRate {
    /// Returns a rate of `count` connections per second, with a burst of the same size. The bucket starts
    /// full.
    pub fn per_second(count: NonZeroU32) -> Self {
        Self::with(count, count)
    }

    /// Returns the rate of the quota that this member belongs to, which all of its processes share; None if
    /// it has none. A server with [`ServerBuilder::member`](crate::ServerBuilder::member) has this rate for
    /// the sources that it opens.
    #[cfg(unix)]
    pub fn of_quota(member: &Member) -> Option<Self> {
        member.accept_rate()?;
        Some(Self(Kind::Quota(member.clone())))
    }

    /// Sets how many connections may be accepted at once after a while without any. Defaults to as many
    /// as per second.
    ///
    /// This returns a new, full bucket, which shares nothing with clones of this one.
    pub fn burst(self, count: NonZeroU32) -> Self {
        match self.0 {
            Kind::Local(shared) => Self::with(shared.bucket().per_second, count),
            #[cfg(unix)]
            Kind::Quota(member) => Self::with(member.accept_rate().unwrap_or(count), count),
        }
    }

    fn with(per_second: NonZeroU32, burst: NonZeroU32) -> Self {
        Self(Kind::Local(Arc::new(Shared {
            start: Instant::now(),
            bucket: Mutex::new(Bucket::new(per_second, burst, 0)),
            given_back: Notify::new(),
        })))
    }

    /// Returns where the tokens come from.
    pub(crate) fn source(self) -> Source {
        match self.0 {
            Kind::Local(shared) => Source::Local(shared),
            #[cfg(unix)]
            Kind::Quota(member) => Source::Quota(quota::Tokens::of(member)),
        }
    }
}

/// Where tokens come from.
pub(crate) enum Source {
    Local(Arc<Shared>),
    #[cfg(unix)]
    Quota(quota::Tokens),
}

impl Source {
    /// Takes up to `wanted` tokens. If there is none, returns when there will be one.
    pub fn take(&self, wanted: u32) -> Result<u32, Instant> {
        match self {
            Self::Local(shared) => shared.take(wanted),
            #[cfg(unix)]
            Self::Quota(tokens) => tokens.take(wanted),
        }
    }

    /// Gives back tokens that were not used.
    pub fn give_back(&self, count: u32) {
        match self {
            _ if count == 0 => {}
            Self::Local(shared) => shared.give_back(count),
            #[cfg(unix)]
            Self::Quota(tokens) => tokens.give_back(count),
        }
    }

    /// Waits until there may be a token: until this time, or until one is given back.
    pub async fn wait(&mut self, until: Instant) {
        match self {
            Self::Local(shared) => shared.wait(until).await,
            #[cfg(unix)]
            Self::Quota(tokens) => tokens.wait(until).await,
        }
    }
}

impl Shared {
    fn take(&self, wanted: u32) -> Result<u32, Instant> {
        let passed = u64::try_from(self.start.elapsed().as_nanos()).unwrap_or(u64::MAX);
        let taken = self.bucket().take(wanted, passed);
        taken.map_err(|next| self.start + Duration::from_nanos(next))
    }

    fn give_back(&self, count: u32) {
        self.bucket().give_back(count);
        self.given_back.notify_one();
    }

    async fn wait(&self, until: Instant) {
        tokio::select! {
            () = tokio::time::sleep_until(until.into()) => {}
            () = self.given_back.notified() => {}
        }
    }

    fn bucket(&self) -> MutexGuard<'_, Bucket> {
        // Nothing in there panics halfway.
        self.bucket.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn count(count: u32) -> NonZeroU32 {
        NonZeroU32::new(count).expect("not 0")
    }

    #[test]
    fn clones_share_a_bucket_and_another_burst_is_another_bucket() {
        let rate = AcceptRate::per_second(count(2));
        let source = |rate: &AcceptRate| rate.clone().source();
        assert_eq!(source(&rate).take(64), Ok(2));
        assert!(source(&rate).take(1).is_err());
        let other = rate.clone().burst(count(3));
        assert_eq!(source(&other).take(64), Ok(3));
        source(&rate).give_back(1);
        assert_eq!(source(&rate).take(64), Ok(1));
    }
}
