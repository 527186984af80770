//! Workers share the cores with each other and with their clients, in short slices.
//!
//! The kernel lets a busy thread keep its core for 3 or 4 ms. In that time hundreds of answers could be
//! sent, and the peers of a thread that is not running wait. So a worker offers its core to other threads
//! between two iterations of its event loop: when 50 connections are busy on two cores, the slowest
//! hundredth of the answers takes 0.4 ms or longer, rather than 3 ms.

use super::super::meter::note_thread_time;
use std::cell::Cell;
use std::time::{Duration, Instant};

/// How long a worker runs, at least, before it offers its core to others. Offering it more often costs
/// more than it gains if an iteration sends one short answer.
const UNDISTURBED: Duration = Duration::from_micros(50);

/// Lets other threads run, unless this was done just now.
pub(super) fn offer_core() {
    thread_local! {
        static LAST: Cell<Option<Instant>> = const { Cell::new(None) };
    }
    let is_soon = |last: Instant| last.elapsed() < UNDISTURBED;
    if !LAST.get().is_some_and(is_soon) {
        std::thread::yield_now();
        note_thread_time();
        LAST.set(Some(Instant::now()));
    }
}
