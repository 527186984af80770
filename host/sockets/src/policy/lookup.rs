//! Looking a host name up: one look-up at a time, whoever asks and however often, and what came of the
//! last ones.
//!
//! Where it ends: whose names may be looked up is for [`Destinations`](crate::policy::destinations).

use crate::error::ErrorCode;
use std::collections::VecDeque;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// For how long the outcome of a look-up is good enough for the next one who asks.
const FRESH: Duration = Duration::from_secs(1);

/// For how long an address that a name had is taken for its own, although it may have others by now:
/// a guest connects a while after it has asked.
const REMEMBERED: Duration = Duration::from_secs(600);

/// The most addresses of one name that are remembered: the latest.
const MOST_REMEMBERED: usize = 256;

/// How many names are looked up at a time that were not granted one by one. Each takes a thread, and a
/// guest that may look up any may ask for any number of them.
static OTHERS: Semaphore = Semaphore::const_new(64);

/// The addresses of a name, in the order of preference, or why there are none.
pub type Outcome = Result<Arc<[IpAddr]>, ErrorCode>;

/// A name that may be looked up.
#[derive(Debug)]
pub struct Name {
    text: String,
    /// Whether it was granted by itself, so that there are not many of them.
    is_granted: bool,
    state: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    latest: Option<Lookup>,
    /// The latest ones last.
    remembered: VecDeque<(IpAddr, Instant)>,
}

impl Name {
    pub fn new(text: String) -> Self {
        Self {
            text,
            is_granted: true,
            state: Mutex::default(),
        }
    }

    /// One of those that may be looked up because any name may.
    pub fn any(text: String) -> Self {
        Self {
            is_granted: false,
            ..Self::new(text)
        }
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether the name had this address lately.
    pub fn remembers(&self, ip: IpAddr) -> bool {
        let now = Instant::now();
        self.state()
            .remembered
            .iter()
            .any(|(known, since)| *known == ip && now.duration_since(*since) < REMEMBERED)
    }

    /// Looks it up, unless that was done a moment ago, or is being done.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn look_up(self: &Arc<Self>) -> Lookup {
        let mut state = self.state();
        if let Some(latest) = state.latest.as_ref().filter(|latest| latest.is_usable()) {
            return latest.clone();
        }
        let (sender, outcome) = watch::channel(None);
        let lookup = Lookup {
            started: Instant::now(),
            outcome,
        };
        state.latest = Some(lookup.clone());
        drop(state);
        // It goes on if nobody waits for it any more: the operating system cannot be stopped, and a
        // guest that asks and goes away, again and again, would have any number of threads wait for it.
        let name = Arc::clone(self);
        tokio::spawn(async move {
            let outcome = name.resolve().await;
            if let Ok(addresses) = &outcome {
                name.remember(addresses, Instant::now());
            }
            sender.send_replace(Some(outcome));
        });
        lookup
    }

    async fn resolve(&self) -> Outcome {
        let _permit = match self.is_granted {
            true => None,
            false => Some(
                OTHERS
                    .try_acquire()
                    .map_err(|_| ErrorCode::TemporaryResolverFailure)?,
            ),
        };
        resolve(&self.text).await
    }

    fn remember(&self, addresses: &[IpAddr], now: Instant) {
        let remembered = &mut self.state().remembered;
        remembered.retain(|(known, _)| !addresses.contains(known));
        remembered.extend(addresses.iter().map(|ip| (*ip, now)));
        let surplus = remembered.len().saturating_sub(MOST_REMEMBERED);
        remembered.drain(..surplus);
    }

    fn state(&self) -> MutexGuard<'_, Known> {
        // Nothing in there panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look-up that is under way, or done. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lookup {
    started: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Lookup {
    /// What came of it, if it is done.
    pub fn outcome(&self) -> Option<Outcome> {
        // In this order: the outcome is there before its sender is gone.
        let is_over = self.outcome.has_changed().is_err();
        let outcome = self.outcome.borrow().clone();
        // The runtime that it was made on has ended.
        outcome.or_else(|| is_over.then_some(Err(ErrorCode::TemporaryResolverFailure)))
    }

    /// Waits until it is done.
    pub async fn done(&self) {
        let mut outcome = self.outcome.clone();
        // It is an error if it will never be done, which is what `outcome` says then.
        drop(outcome.wait_for(Option::is_some).await);
    }

    fn is_usable(&self) -> bool {
        let is_over = self.outcome.has_changed().is_err();
        match &*self.outcome.borrow() {
            Some(_) => self.started.elapsed() < FRESH,
            None => !is_over,
        }
    }
}

async fn resolve(name: &str) -> Outcome {
    match tokio::net::lookup_host((name, 0)).await {
        Ok(found) => {
            let mut addresses = Vec::new();
            for ip in found.map(|address| address.ip().to_canonical()) {
                if !addresses.contains(&ip) {
                    addresses.push(ip);
                }
            }
            match addresses.is_empty() {
                true => Err(ErrorCode::NameUnresolvable),
                false => Ok(addresses.into()),
            }
        }
        Err(error) => {
            tracing::debug!("{name} cannot be resolved: {error}");
            // The operating system tells more, but the standard library just has a text of it.
            Err(ErrorCode::NameUnresolvable)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::Ipv4Addr;

    fn name(text: &str) -> Arc<Name> {
        Arc::new(Name::new(text.to_owned()))
    }

    fn ip(last: u32) -> IpAddr {
        Ipv4Addr::from_bits(0xC000_0200 + last).into()
    }

    #[tokio::test]
    async fn what_a_name_resolves_to_is_remembered() {
        let name = name("localhost");
        let lookup = name.look_up();
        lookup.done().await;
        let addresses = lookup.outcome().expect("done").expect("addresses");
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        assert!(addresses.iter().all(|ip| name.remembers(*ip)));
        assert!(!name.remembers(ip(1)));
    }

    #[tokio::test]
    async fn those_who_ask_at_the_same_time_share_a_look_up() {
        let name = name("localhost");
        let (one, other) = (name.look_up(), name.look_up());
        assert!(one.outcome.same_channel(&other.outcome));
    }

    #[tokio::test]
    async fn what_does_not_exist_is_unresolvable() {
        let lookup = name("nothing.invalid").look_up();
        lookup.done().await;
        assert_eq!(lookup.outcome(), Some(Err(ErrorCode::NameUnresolvable)));
    }

    #[test]
    fn a_look_up_whose_runtime_is_gone_has_failed_and_is_made_again() {
        let name = name("localhost");
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.build().expect("a runtime")
        };
        let (first, second) = (runtime(), runtime());
        let lookup = first.block_on(async { name.look_up() });
        first.shutdown_background();
        assert_eq!(
            lookup.outcome(),
            Some(Err(ErrorCode::TemporaryResolverFailure))
        );
        let again = second.block_on(async {
            let lookup = name.look_up();
            lookup.done().await;
            lookup.outcome()
        });
        assert!(again.expect("done").is_ok());
    }

    #[test]
    fn the_latest_addresses_are_remembered_for_a_while() {
        let name = name("many.example");
        let now = Instant::now();
        name.remember(&[ip(0)], now);
        for last in 1..=MOST_REMEMBERED as u32 {
            name.remember(&[ip(last)], now);
        }
        assert!(!name.remembers(ip(0)), "one too many");
        assert!(name.remembers(ip(1)) && name.remembers(ip(MOST_REMEMBERED as u32)));
        if let Some(before) = now.checked_sub(REMEMBERED) {
            name.remember(&[ip(1)], before);
            assert!(!name.remembers(ip(1)), "too long ago");
        }
    }
}
