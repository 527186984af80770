//! What moving bytes costs of a task's turn. Each call that may wait costs one of the 128 units that tokio
//! gives to a turn; without more than that, the turn of a guest that moves a lot at a time would last as
//! long as that of one which computes.

use std::task::{Context, Poll, Waker};
use tokio::task::coop::poll_proceed;

/// How many bytes cost a unit. A turn of 4 MiB takes a millisecond or two: in less than that, caches do not
/// pay; in more, others wait for long. It is as much as tokio's budget lets a task move through a buffer
/// of 64 KiB.
const PIECE: usize = 32 << 10;

/// Take for so many bytes what is left of it. It is the next call which may wait that ends the turn, if
/// nothing is.
pub(crate) fn charge(bytes: usize) {
    let mut nobody = Context::from_waker(Waker::noop());
    for _ in 0..bytes / PIECE {
        match poll_proceed(&mut nobody) {
            Poll::Ready(unit) => unit.made_progress(),
            Poll::Pending => return,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::task::coop::has_budget_remaining;

    #[tokio::test]
    async fn a_turn_is_over_after_so_many_bytes() {
        for _ in 0..128 / 8 {
            assert!(has_budget_remaining());
            charge(8 * PIECE);
        }
        assert!(!has_budget_remaining());
        charge(PIECE);
        tokio::task::coop::consume_budget().await;
        assert!(has_budget_remaining());
        charge(PIECE - 1);
    }
}
