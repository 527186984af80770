//! Balance: which member takes the next connection.
//!
//! A connection wakes every member that waits for one. A member that has clearly more connections than
//! another one leaves new ones to it for a moment. Then it takes a few, since the other one may be stopped.
//! Short connections that follow each other stay with one member, and do not wake the others.

use std::time::Duration;

/// How long a busy member leaves new connections to others.
pub(super) const PAUSE: Duration = Duration::from_millis(2);

/// How soon after another one a connection counts as its successor, and how long a member leaves those to
/// whoever has served the last one.
pub(super) const SEQUENCE: Duration = Duration::from_millis(1);

/// How many connections a busy member takes after that.
pub(super) const FEW: usize = 8;

/// Returns how many connections a member that has `own` may take at once, if `least` is the lowest number of
/// the other accepting members. None: it has clearly more, and leaves new ones to others.
pub(super) fn share(own: usize, least: Option<usize>) -> Option<usize> {
    let Some(least) = least else {
        return Some(usize::MAX);
    };
    let fair = least.saturating_add(1).saturating_add(least / 8);
    fair.checked_sub(own).map(|left| left.max(1))
}

/// Returns whether a member that has `own` connections leaves the next one to the member that has accepted the
/// last one, so long `ago`, and has `open` connections.
pub(super) fn leaves_next(own: usize, ago: Duration, open: usize) -> bool {
    own == 0 && ago < SEQUENCE && open <= 1
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_member_with_clearly_more_than_another_leaves_new_ones_to_it() {
        for (own, least, expected) in [
            (0, 0, Some(1)),
            (1, 0, Some(1)),
            (2, 0, None),
            (0, 7, Some(8)),
            (8, 8, Some(2)),
            (10, 8, Some(1)),
            (11, 8, None),
            (100, 100, Some(13)),
            (113, 100, Some(1)),
            (114, 100, None),
            (0, usize::MAX, Some(usize::MAX)),
        ] {
            assert_eq!(share(own, Some(least)), expected, "{own} and {least}");
        }
    }

    #[test]
    fn a_member_that_is_alone_takes_all() {
        assert_eq!(share(1_000, None), Some(usize::MAX));
    }

    /// Long connections that arrive one at a time, or all at once, end up spread evenly.
    #[test]
    fn long_connections_are_spread() {
        let mut open = [0_usize; 4];
        for arrived in 1..=100 {
            // The first one that may takes it: the worst order.
            let taker = (0..4).find(|&taker| {
                let others = (0..4).filter(|&other| other != taker);
                let least = others.map(|other| open[other]).min();
                share(open[taker], least).is_some()
            });
            open[taker.expect("one that may")] += 1;
            let (most, least) = (open.iter().max(), open.iter().min());
            let (most, least) = (*most.expect("4"), *least.expect("4"));
            assert!(most <= least + 2 + least / 8, "{arrived}: {open:?}");
        }
    }
}
