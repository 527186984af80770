//! Handshakes under way: connections whose PROXY header or TLS handshake is not complete yet.
//!
//! Each of them has a permit, and whoever opens connections costs a stranger nothing. So they are bounded: in all,
//! and for each peer. A further handshake does not wait, and is not refused: it takes the place of the one that has
//! lasted longest, of the peer with the most. So a peer that leaves handshakes incomplete ends its own ones, at the
//! rate at which it begins new ones; an honest client, even one behind the same address, loses its handshake only if
//! it takes longer than that. (nginx ends its oldest idle connections likewise. Refusing new connections at random,
//! as sshd does, or letting them wait would keep honest clients out for as long as the flood lasts.)
//!
//! If several processes share a quota, the limits are those of all of them, and each ends handshakes of its own:
//! as long as it has more than its share of the limit, so that no process has to end the only ones that it has
//! because of those in others. A process that gets no further handshakes does the same for those that last.

use super::end::End;
use crate::ingress::Refused;
use crate::limits::Limits;
use crate::listener::{Permit, PermitSource};
use std::cmp::Reverse;
use std::collections::{BTreeSet, HashMap};
use std::fmt;
use std::future::{Future, pending};
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::sleep;

/// How long a handshake may take while no permit is free for others, or while other processes have begun too many:
/// more than an honest one takes, even over a satellite or after a lost packet.
const SCARCE: Duration = Duration::from_secs(3);

/// Whose handshake it is: a peer's address or network. None: of peers without an address, or whose proxy has not
/// announced them yet, which are not limited one by one.
type Peer = Option<IpAddr>;

/// The handshakes of a process that are under way.
pub(super) struct Handshakes {
    max: usize,
    per_peer: usize,
    permits: PermitSource,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The number of the handshake that began last.
    last: u64,
    all: HashMap<u64, Handshake>,
    /// The numbers of each peer's handshakes.
    of_peers: HashMap<Peer, BTreeSet<u64>>,
    /// The peers, by how many handshakes they have: the last one has the most, and of those the oldest.
    ranking: BTreeSet<(usize, Reverse<u64>, Peer)>,
}

struct Handshake {
    peer: Peer,
    cut: oneshot::Sender<Crowded>,
    /// Dropped when it ends, or is ended.
    _counted: Counted,
}

/// A handshake that counts in the quota, if there is one, until this is dropped.
struct Counted(Option<Arc<Permit>>);

impl Counted {
    fn new(peer: Peer, permit: Option<Arc<Permit>>) -> Self {
        if let Some(permit) = &permit {
            permit.begin_handshake(peer);
        }
        Self(permit)
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        if let Some(permit) = &self.0 {
            permit.end_handshake();
        }
    }
}

/// Why a handshake was ended for the sake of others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Crowded {
    /// Its peer has begun more than this many.
    OfPeer(usize),
    /// There are more than this many, and its peer has the most.
    InAll(usize),
    /// It takes too long while no permit is free.
    NoPermits,
}

impl fmt::Display for Crowded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::OfPeer(most) => write!(
                f,
                "its peer has begun another handshake, and may have {most} under way \
                 (--max-handshakes-per-peer; in the library, Limits::max_handshakes_per_peer)"
            ),
            Self::InAll(most) => write!(
                f,
                "another handshake has begun, and {most} may be under way, of which its peer has the most \
                 (--max-handshakes; in the library, Limits::max_handshakes)"
            ),
            Self::NoPermits => write!(
                f,
                "its handshake takes longer than {SCARCE:?}, and no connection is free for others \
                 (--max-connections; in the library, Limits::max_connections)"
            ),
        }
    }
}

impl Handshakes {
    /// Limits the handshakes of this process, or of all that share its quota.
    pub fn new(limits: &Limits, permits: &PermitSource) -> Self {
        let (max, per_peer) = permits.max_handshakes(limits);
        Self {
            max,
            per_peer,
            permits: permits.clone(),
            state: Mutex::default(),
        }
    }

    /// Runs a step of a handshake of this peer, unless it is ended for the sake of others.
    pub async fn run(
        &self,
        peer: Peer,
        permit: Option<Arc<Permit>>,
        is_full: impl Fn() -> bool,
        step: impl Future<Output = Result<(), Refused>>,
    ) -> Result<(), End> {
        let (_under_way, cut) = self.begin(peer, permit);
        tokio::select! {
            biased;
            done = step => Ok(done?),
            cut = cut => Err(match cut {
                Ok(crowded) => End::Crowded(crowded),
                // It is kept for as long as this runs.
                Err(_) => pending().await,
            }),
            () = self.scarcity(peer, is_full) => Err(End::Crowded(Crowded::NoPermits)),
        }
    }

    /// Counts a handshake, and ends those that are too many with it.
    fn begin(
        &self,
        peer: Peer,
        permit: Option<Arc<Permit>>,
    ) -> (UnderWay<'_>, oneshot::Receiver<Crowded>) {
        let (cut, is_cut) = oneshot::channel();
        let mut state = self.state();
        let number = state.insert(Handshake {
            peer,
            cut,
            _counted: Counted::new(peer, permit),
        });
        self.end_excess(&mut state, peer, 1);
        let under_way = UnderWay {
            handshakes: self,
            number,
        };
        (under_way, is_cut)
    }

    /// Waits until a handshake has taken too long for a server without free permits.
    async fn scarcity(&self, peer: Peer, is_full: impl Fn() -> bool) {
        loop {
            sleep(SCARCE).await;
            if is_full() {
                return;
            }
            // Others may have begun in processes that had less than their share.
            self.end_excess(&mut self.state(), peer, 0);
        }
    }

    /// Ends the oldest ones of this peer, and of the one with the most, while there are too many and this process has
    /// more than its share of them, and more than `least`.
    fn end_excess(&self, state: &mut State, peer: Peer, least: usize) {
        while peer.is_some() && self.is_excess(self.per_peer, state.count(peer), peer, least) {
            state.end_oldest(peer, Crowded::OfPeer(self.per_peer));
        }
        while self.is_excess(self.max, state.all.len(), None, least)
            && let Some((_, _, greediest)) = state.ranking.last().copied()
        {
            state.end_oldest(greediest, Crowded::InAll(self.max));
        }
    }

    /// Returns whether handshakes are too many, of a peer or in all, and this process, which has `own` of them, is to
    /// end one.
    fn is_excess(&self, most: usize, own: usize, peer: Peer, least: usize) -> bool {
        match self.permits.handshakes(peer) {
            None => own > most,
            Some(all) => all > most && own > least.max(most / self.permits.processes()),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in there panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn count(&self, peer: Peer) -> usize {
        self.of_peers.get(&peer).map_or(0, BTreeSet::len)
    }

    fn insert(&mut self, handshake: Handshake) -> u64 {
        self.last += 1;
        let (number, peer) = (self.last, handshake.peer);
        self.all.insert(number, handshake);
        self.change(peer, |numbers| numbers.insert(number));
        number
    }

    fn remove(&mut self, number: u64) -> Option<Handshake> {
        let handshake = self.all.remove(&number)?;
        self.change(handshake.peer, |numbers| numbers.remove(&number));
        Some(handshake)
    }

    /// Changes a peer's numbers and its rank.
    fn change(&mut self, peer: Peer, action: impl FnOnce(&mut BTreeSet<u64>) -> bool) {
        let numbers = self.of_peers.entry(peer).or_default();
        if let Some(oldest) = numbers.first() {
            self.ranking
                .remove(&(numbers.len(), Reverse(*oldest), peer));
        }
        action(numbers);
        match numbers.first() {
            Some(oldest) => {
                self.ranking.insert((numbers.len(), Reverse(*oldest), peer));
            }
            None => {
                self.of_peers.remove(&peer);
            }
        }
    }

    fn end_oldest(&mut self, peer: Peer, why: Crowded) {
        let oldest = self
            .of_peers
            .get(&peer)
            .and_then(|all| all.first().copied());
        if let Some(handshake) = oldest.and_then(|number| self.remove(number)) {
            // It may have completed at this moment.
            let _ = handshake.cut.send(why);
        }
    }
}

/// A handshake under way. It is counted until this is dropped.
struct UnderWay<'a> {
    handshakes: &'a Handshakes,
    number: u64,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        self.handshakes.state().remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::listener::LocalPermits;

    const ALL: usize = 6;
    const PER_PEER: usize = 4;

    fn limits() -> Limits {
        Limits {
            max_handshakes: Some(ALL),
            max_handshakes_per_peer: Some(PER_PEER),
            ..Limits::default()
        }
    }

    fn handshakes() -> Handshakes {
        let permits = PermitSource::Local(LocalPermits::new(0, 0));
        Handshakes::new(&limits(), &permits)
    }

    type Begun<'a> = (UnderWay<'a>, oneshot::Receiver<Crowded>);

    fn begin(handshakes: &Handshakes, peer: u8, count: usize) -> Vec<Begun<'_>> {
        let peer = Some(IpAddr::from([192, 0, 2, peer]));
        (0..count).map(|_| handshakes.begin(peer, None)).collect()
    }

    /// Why each of them was ended, in the order in which they began.
    fn ends(begun: &mut [Begun<'_>]) -> Vec<Option<Crowded>> {
        begun
            .iter_mut()
            .map(|(_, cut)| cut.try_recv().ok())
            .collect()
    }

    #[test]
    fn a_peer_with_too_many_loses_its_oldest() {
        let handshakes = handshakes();
        let mut others = begin(&handshakes, 2, 1);
        let mut greedy = begin(&handshakes, 1, PER_PEER + 2);
        let ended = Some(Crowded::OfPeer(PER_PEER));
        assert_eq!(ends(&mut greedy), [ended, ended, None, None, None, None]);
        assert_eq!(ends(&mut others), [None]);
    }

    #[test]
    fn the_peer_with_the_most_loses_its_oldest_if_there_are_too_many() {
        let handshakes = handshakes();
        let mut early = begin(&handshakes, 2, 2);
        let mut greedy = begin(&handshakes, 1, PER_PEER);
        let mut late = begin(&handshakes, 3, 2);
        let ended = Some(Crowded::InAll(ALL));
        assert_eq!(ends(&mut greedy), [ended, ended, None, None]);
        assert_eq!(ends(&mut early), [None, None]);
        // All have the same number now: the oldest one of all goes.
        let mut last = begin(&handshakes, 4, 1);
        assert_eq!(ends(&mut early), [ended, None]);
        assert_eq!(ends(&mut late), [None, None]);
        assert_eq!(ends(&mut last), [None]);
    }

    #[test]
    fn those_that_have_ended_do_not_count() {
        let handshakes = handshakes();
        for _ in 0..3 * ALL {
            let mut begun = begin(&handshakes, 1, PER_PEER);
            assert_eq!(ends(&mut begun), [None; PER_PEER]);
        }
        let state = handshakes.state();
        assert!(state.all.is_empty() && state.of_peers.is_empty() && state.ranking.is_empty());
    }

    #[test]
    fn peers_without_an_address_are_limited_in_all() {
        let handshakes = handshakes();
        let mut begun: Vec<_> = (0..ALL).map(|_| handshakes.begin(None, None)).collect();
        assert_eq!(ends(&mut begun), [None; ALL]);
        let mut known = begin(&handshakes, 1, 1);
        assert_eq!(ends(&mut begun)[0], Some(Crowded::InAll(ALL)));
        assert_eq!(ends(&mut known), [None]);
    }

    #[tokio::test]
    async fn a_slow_one_ends_only_if_no_permit_is_free() {
        let handshakes = handshakes();
        let slow = async {
            sleep(SCARCE + SCARCE / 10).await;
            Ok(())
        };
        let never = pending();
        let (slow, ended) = tokio::join!(
            handshakes.run(None, None, || false, slow),
            handshakes.run(None, None, || true, never),
        );
        assert!(slow.is_ok());
        assert!(matches!(ended, Err(End::Crowded(Crowded::NoPermits))));
        assert!(handshakes.state().all.is_empty());
    }

    #[tokio::test]
    async fn one_that_is_ended_stops() {
        let handshakes = handshakes();
        let never = handshakes.run(None, None, || false, pending());
        let later = async {
            let _more: Vec<_> = (0..ALL).map(|_| handshakes.begin(None, None)).collect();
        };
        let (ended, ()) = tokio::join!(never, later);
        assert!(matches!(ended, Err(End::Crowded(Crowded::InAll(ALL)))));
    }
}

/// Several processes with one quota.
#[cfg(all(test, unix))]
mod shared;
