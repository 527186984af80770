//! What the host knows of the streams and futures of its own that a guest has.

use super::ending::Ending;
use super::moving::Moving;
use crate::connection::Endpoint;
use std::sync::Arc;
use wasmtime::component::FutureAny;

/// The fewest futures that are looked through for those that are gone.
const FEWEST: usize = 16;

/// The streams and futures of the host's own that a guest has, and the streams that the host moves for it. For a host
/// that gives up an instance in which nothing else is under way.
#[derive(Debug, Default)]
pub struct Relays {
    /// Shared by the streams that exist. None: there has been none.
    live: Option<Arc<()>>,
    futures: Vec<(FutureAny, Ending)>,
    /// How many futures there are when the next look through them is due.
    next_look: usize,
    moving: Vec<Moving>,
}

/// A stream that a guest may have, until this is dropped.
#[derive(Clone, Debug)]
pub struct Live(#[allow(dead_code, reason = "it is only counted")] Arc<()>);

impl Relays {
    /// Counts a stream that a guest gets.
    pub fn count(&mut self) -> Live {
        Live(Arc::clone(self.live.get_or_insert_default()))
    }

    /// Returns whether there are streams that a guest may have, or has passed on to somebody else in the host.
    pub fn has_streams(&self) -> bool {
        let live = self.live.as_ref();
        live.is_some_and(|live| Arc::strong_count(live) > 1)
    }

    /// Records whose ending a future tells.
    pub(crate) fn note(&mut self, future: FutureAny, ending: &Ending) {
        if self.futures.len() >= self.next_look {
            self.futures.retain(|(_, ending)| ending.has_future());
            self.next_look = (2 * self.futures.len()).max(FEWEST);
        }
        self.futures.push((future, ending.clone()));
    }

    /// Returns whether there is a future of the host's own.
    pub(crate) fn has_futures(&self) -> bool {
        self.futures
            .iter()
            .rev()
            .any(|(_, ending)| ending.has_future())
    }

    /// Returns what a future tells, if it is one of the host's own.
    ///
    /// A future is known by its identity in the store, which no other one has for as long as it exists.
    pub(crate) fn ending_of(&self, future: &FutureAny) -> Option<Ending> {
        let is_it = |(known, ending): &&(FutureAny, Ending)| known == future && ending.has_future();
        self.futures
            .iter()
            .find(is_it)
            .map(|(_, ending)| ending.clone())
    }

    pub(crate) fn add(&mut self, moving: Moving) {
        self.moving.retain(|moving| !moving.has_ended());
        self.moving.push(moving);
    }

    /// Takes the streams that the host moves: all of them, or those from the peer of a connection.
    pub fn take_moving(&mut self, from: Option<&Arc<Endpoint>>) -> Vec<Moving> {
        let is_wanted = |moving: &mut Moving| from.is_none_or(|from| moving.is_from(from));
        let taken = self.moving.extract_if(.., is_wanted);
        taken.filter(|moving| !moving.has_ended()).collect()
    }
}
