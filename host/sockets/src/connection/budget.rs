//! What transferring bytes costs of a task's time slice. Each call that may wait costs one of the 128 units
//! that tokio gives to a slice; if that were all, the slice of a guest that transfers a lot at a time would last
//! as long as that of one which computes.

use std::task::{Context, Poll, Waker};
use tokio::task::coop::poll_proceed;

/// How many bytes cost a unit. A slice of 4 MiB takes a millisecond or two: in less than that, caches do not
/// pay; in more, others wait for long. It is as much as tokio's budget lets a task transfer through a buffer
/// of 64 KiB.
const PIECE: usize = 32 << 10;

/// Takes the units that so many bytes cost, as far as any are left. The next call which may wait ends the
/// slice, if none is.
pub fn charge(bytes: usize) {
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
    async fn a_slice_is_over_after_so_many_bytes() {
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
