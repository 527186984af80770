//! Who decides how a connection ends.

use std::sync::atomic::{AtomicU8, Ordering};

/// Whoever drops it ends it regularly.
const OF_OWNERS: u8 = 0;
/// The host: what its guest drops decides nothing.
const OF_HOST: u8 = 1;
/// Its guest, by dropping it. Until it does, the connection ends like one of the host's.
const OF_GUEST: u8 = 2;
/// Its guest has dropped it, which was a regular end.
const CLOSED: u8 = 3;

/// It was taken away from its guest, which keeps what it has of it.
const TAKEN: u8 = 4;

/// Who decides how a connection ends, and whether its guest has decided it.
#[derive(Debug, Default)]
pub struct Decision(AtomicU8);

impl Decision {
    pub fn is_of_host(&self) -> bool {
        self.get() == OF_HOST
    }

    pub fn is_closed(&self) -> bool {
        self.get() == CLOSED
    }

    /// Returns whether it is or was its guest's.
    pub fn has_guest(&self) -> bool {
        matches!(self.get(), OF_GUEST | CLOSED | TAKEN)
    }

    /// Returns whether it was to be made by somebody, and has not been made.
    pub fn is_left_open(&self) -> bool {
        matches!(self.get(), OF_HOST | OF_GUEST | TAKEN)
    }

    pub fn give_to_host(&self) {
        self.0.store(OF_HOST, Ordering::Relaxed);
    }

    /// Gives it to the guest, if it is the host's.
    pub fn give_to_guest(&self) {
        self.change(OF_HOST, OF_GUEST);
    }

    /// Takes it back from a guest that has not made it.
    pub fn take_from_guest(&self) {
        self.change(OF_GUEST, OF_HOST);
    }

    /// Takes it away from a guest for good, unless that has made it.
    pub fn take_away(&self) {
        self.change(OF_GUEST, TAKEN);
    }

    /// Makes it, if it is the guest's. Returns whether it was.
    pub fn make_by_guest(&self) -> bool {
        self.change(OF_GUEST, CLOSED)
    }

    pub fn make_by_host(&self) {
        self.0.store(OF_OWNERS, Ordering::Relaxed);
    }

    fn get(&self) -> u8 {
        self.0.load(Ordering::Relaxed)
    }

    fn change(&self, from: u8, to: u8) -> bool {
        let (set, get) = (Ordering::Relaxed, Ordering::Relaxed);
        self.0.compare_exchange(from, to, set, get).is_ok()
    }
}
