//! Waiting for some time.

use super::bindings::wasi::clocks::monotonic_clock::wait_for;
use std::time::Duration;

/// Waits for this time: for what was spawned, other things run meanwhile. A time that is too long for the clock, 584
/// years, never comes.
pub async fn sleep(time: Duration) {
    wait_for(u64::try_from(time.as_nanos()).unwrap_or(u64::MAX)).await;
}
