//! Host name look-ups: concurrent callers share one look-up, and recent results are cached.
//!
//! Where it ends: [`Destinations`](crate::policy::destinations) decides which names may be looked up.

use super::account::Charge;
use super::resolver::{Resolver, resolve_name};
use crate::error::ErrorCode;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::{Semaphore, watch};

/// How long the outcome of a look-up is reused for the next caller.
const FRESH: Duration = Duration::from_secs(1);

/// How long an address counts as one of a name after it was resolved, although the name may have others by
/// now: a guest connects some time after it has resolved the name.
const REMEMBERED: Duration = Duration::from_secs(600);

/// Maximum number of addresses of one name that are remembered: the most recent ones.
const MOST_REMEMBERED: usize = 256;

/// Limits concurrent look-ups of names that were not granted one by one. Each takes a thread, and a guest
/// that may look up any name may request an unlimited number of them.
static OTHERS: Semaphore = Semaphore::const_new(64);

/// The addresses of a name, in order of preference, or why there are none.
pub type Outcome = Result<Arc<[IpAddr]>, ErrorCode>;

/// A name that may be looked up.
#[derive(Debug)]
pub struct Name {
    text: String,
    /// Whether the name was granted by itself. The number of such names is small.
    is_granted: bool,
    state: Mutex<Known>,
}

#[derive(Debug, Default)]
struct Known {
    latest: Option<Lookup>,
    /// The addresses and when they were resolved, oldest first.
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

    /// Returns a name that may be looked up because any name may.
    pub fn any(text: String) -> Self {
        Self {
            is_granted: false,
            ..Self::new(text)
        }
    }

    /// Returns whether it was granted by itself.
    pub fn is_granted(&self) -> bool {
        self.is_granted
    }

    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Returns whether the name had this address recently.
    pub fn remembers(&self, ip: IpAddr) -> bool {
        let now = Instant::now();
        self.state()
            .remembered
            .iter()
            .any(|(known, since)| *known == ip && now.duration_since(*since) < REMEMBERED)
    }

    /// Starts to look the name up. A look-up that is in progress, or that finished a moment ago, is reused.
    ///
    /// A new one holds `charged` until it is done, whether or not anybody waits for it.
    ///
    /// # Panics
    /// Outside a tokio runtime.
    pub fn look_up(
        self: &Arc<Self>,
        resolver: Option<&Arc<dyn Resolver>>,
        charged: Option<Charge>,
    ) -> Lookup {
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
        // The look-up continues when nobody waits for it any more: a call to the operating system's resolver
        // cannot be cancelled, and a guest that starts one look-up after the other would otherwise occupy an
        // unlimited number of threads.
        let name = Arc::clone(self);
        let resolver = resolver.cloned();
        tokio::spawn(async move {
            let outcome = name.resolve(resolver.as_deref()).await;
            if let Ok(addresses) = &outcome {
                name.remember(addresses, Instant::now());
            }
            drop(charged);
            sender.send_replace(Some(outcome));
        });
        lookup
    }

    async fn resolve(&self, resolver: Option<&dyn Resolver>) -> Outcome {
        let _permit = match self.is_granted {
            true => None,
            false => Some(
                OTHERS
                    .try_acquire()
                    .map_err(|_| ErrorCode::TemporaryResolverFailure)?,
            ),
        };
        let found = match resolver {
            Some(resolver) => resolver.resolve(self.text.clone()).await,
            None => resolve_name(&self.text).await,
        };
        found
            .map_err(|error| failure(&self.text, &error))
            .and_then(distinct)
    }

    fn remember(&self, addresses: &[IpAddr], now: Instant) {
        let remembered = &mut self.state().remembered;
        remembered.retain(|(known, _)| !addresses.contains(known));
        remembered.extend(addresses.iter().map(|ip| (*ip, now)));
        let surplus = remembered.len().saturating_sub(MOST_REMEMBERED);
        remembered.drain(..surplus);
    }

    fn state(&self) -> MutexGuard<'_, Known> {
        // No code panics while it holds this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A look-up that is in progress or done. Cheap to clone.
#[derive(Clone, Debug)]
pub struct Lookup {
    started: Instant,
    outcome: watch::Receiver<Option<Outcome>>,
}

impl Lookup {
    /// Returns the outcome, if the look-up is done.
    pub fn outcome(&self) -> Option<Outcome> {
        // The order matters: the outcome is sent before the sender is dropped.
        let is_over = self.outcome.has_changed().is_err();
        let outcome = self.outcome.borrow().clone();
        // The runtime of the look-up has ended.
        outcome.or_else(|| is_over.then_some(Err(ErrorCode::TemporaryResolverFailure)))
    }

    /// Waits until the look-up is done.
    pub async fn done(&self) {
        let mut outcome = self.outcome.clone();
        // An error means that it will never be done, which `outcome` then reports.
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

/// Returns the addresses without duplicates, in the same order.
fn distinct(found: Vec<IpAddr>) -> Outcome {
    let mut addresses = Vec::new();
    for ip in found.iter().map(IpAddr::to_canonical) {
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    match addresses.is_empty() {
        true => Err(ErrorCode::NameUnresolvable),
        false => Ok(addresses.into()),
    }
}

fn failure(name: &str, error: &io::Error) -> ErrorCode {
    tracing::debug!("{name} cannot be resolved: {error}");
    match error.kind() {
        io::ErrorKind::TimedOut
        | io::ErrorKind::NotConnected
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => ErrorCode::TemporaryResolverFailure,
        // The operating system knows the cause, but the standard library passes it on as text only.
        _ => ErrorCode::NameUnresolvable,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use futures_util::future::BoxFuture;
    use std::net::Ipv4Addr;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use tokio::sync::Notify;

    fn name(text: &str) -> Arc<Name> {
        Arc::new(Name::new(text.to_owned()))
    }

    fn ip(last: u32) -> IpAddr {
        Ipv4Addr::from_bits(0xC000_0200 + last).into()
    }

    #[tokio::test]
    async fn what_a_name_resolves_to_is_remembered() {
        let name = name("localhost");
        let lookup = name.look_up(None, None);
        lookup.done().await;
        let addresses = lookup.outcome().expect("done").expect("addresses");
        assert!(addresses.iter().all(IpAddr::is_loopback), "{addresses:?}");
        assert!(addresses.iter().all(|ip| name.remembers(*ip)));
        assert!(!name.remembers(ip(1)));
    }

    #[tokio::test]
    async fn those_who_ask_at_the_same_time_share_a_look_up() {
        let name = name("localhost");
        let (one, other) = (name.look_up(None, None), name.look_up(None, None));
        assert!(one.outcome.same_channel(&other.outcome));
    }

    #[tokio::test]
    async fn what_does_not_exist_is_unresolvable() {
        let lookup = name("nothing.invalid").look_up(None, None);
        lookup.done().await;
        assert_eq!(lookup.outcome(), Some(Err(ErrorCode::NameUnresolvable)));
    }

    /// A resolver that answers when it is told to.
    #[derive(Debug, Default)]
    struct Slow {
        calls: Arc<AtomicUsize>,
        answer: Arc<Notify>,
        /// If there are none, the answer is an error of this kind.
        kind: Option<io::ErrorKind>,
    }

    impl Resolver for Slow {
        fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
            self.calls.fetch_add(1, Ordering::Relaxed);
            let (answer, kind) = (Arc::clone(&self.answer), self.kind);
            Box::pin(async move {
                answer.notified().await;
                assert_eq!(name, "some.example");
                match kind {
                    Some(kind) => Err(kind.into()),
                    None => Ok(vec![ip(2), ip(1), ip(2)]),
                }
            })
        }
    }

    #[tokio::test]
    async fn a_resolver_of_the_hosts_own_is_asked_once_at_a_time() {
        let slow = Slow::default();
        let (calls, answer) = (Arc::clone(&slow.calls), Arc::clone(&slow.answer));
        let resolver: Arc<dyn Resolver> = Arc::new(slow);
        let name = name("some.example");
        let look_up = || name.look_up(Some(&resolver), None);
        let (one, other) = (look_up(), look_up());
        assert_eq!(one.outcome(), None);
        answer.notify_one();
        one.done().await;
        assert_eq!(one.outcome(), Some(Ok([ip(2), ip(1)].into())));
        assert_eq!(other.outcome(), one.outcome());
        assert!(name.remembers(ip(1)) && name.remembers(ip(2)));
        // The latest outcome is reused.
        look_up().done().await;
        assert_eq!(calls.load(Ordering::Relaxed), 1);
    }

    #[tokio::test]
    async fn a_resolver_that_does_not_answer_fails_for_now() {
        for (kind, code) in [
            (io::ErrorKind::TimedOut, ErrorCode::TemporaryResolverFailure),
            (
                io::ErrorKind::BrokenPipe,
                ErrorCode::TemporaryResolverFailure,
            ),
            (io::ErrorKind::NotFound, ErrorCode::NameUnresolvable),
            (io::ErrorKind::Other, ErrorCode::NameUnresolvable),
        ] {
            let resolver = Slow {
                kind: Some(kind),
                ..Slow::default()
            };
            resolver.answer.notify_one();
            let resolver: Arc<dyn Resolver> = Arc::new(resolver);
            let lookup = name("some.example").look_up(Some(&resolver), None);
            lookup.done().await;
            assert_eq!(lookup.outcome(), Some(Err(code)), "{kind:?}");
        }
    }

    #[tokio::test]
    async fn at_most_64_look_ups_of_any_names_are_in_progress() {
        let slow = Slow::default();
        let (calls, answer) = (Arc::clone(&slow.calls), Arc::clone(&slow.answer));
        let resolver: Arc<dyn Resolver> = Arc::new(slow);
        let any = || Arc::new(Name::any("some.example".to_owned()));
        let look_up = || any().look_up(Some(&resolver), None);
        let lookups: Vec<_> = (0..65).map(|_| look_up()).collect();
        lookups[64].done().await;
        assert_eq!(
            lookups[64].outcome(),
            Some(Err(ErrorCode::TemporaryResolverFailure))
        );
        assert!(
            lookups[..64]
                .iter()
                .all(|lookup| lookup.outcome().is_none())
        );
        assert_eq!(calls.load(Ordering::Relaxed), 64);
        answer.notify_waiters();
        for lookup in &lookups[..64] {
            lookup.done().await;
            assert!(lookup.outcome().expect("done").is_ok());
        }
    }

    #[test]
    fn a_look_up_whose_runtime_is_gone_has_failed_and_is_made_again() {
        let name = name("localhost");
        let runtime = || {
            let mut builder = tokio::runtime::Builder::new_current_thread();
            builder.build().expect("a runtime")
        };
        let (first, second) = (runtime(), runtime());
        let lookup = first.block_on(async { name.look_up(None, None) });
        first.shutdown_background();
        assert_eq!(
            lookup.outcome(),
            Some(Err(ErrorCode::TemporaryResolverFailure))
        );
        let again = second.block_on(async {
            let lookup = name.look_up(None, None);
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
