//! Time: of the core, and of the stack.

use crate::wasi::clocks::monotonic_clock::{now, subscribe_duration};
use std::hint::black_box;

pub fn spin() -> ! {
    loop {
        std::hint::spin_loop();
    }
}

/// Computes for so many milliseconds, sleeps for so many nanoseconds, for ever.
pub fn again_and_again(millis: u64, nap: u64) -> ! {
    let steps = millis * steps_of_a_millisecond();
    loop {
        work(steps);
        subscribe_duration(nap).block();
    }
}

/// How much work takes a millisecond. The shortest of several times: the host may pause the guest meanwhile.
fn steps_of_a_millisecond() -> u64 {
    const STEPS: u64 = 50_000;
    let time = |_| {
        let begin = now();
        work(STEPS);
        now() - begin
    };
    let shortest = (0..5).map(time).min().unwrap_or_default();
    STEPS * 1_000_000 / shortest.max(1)
}

/// Calls nothing of the host, so that only the host's clock interrupts it.
fn work(steps: u64) {
    for step in 0..steps {
        black_box(step);
    }
}

pub fn recurse_without_end() -> Result<(), String> {
    Err(format!("{} calls", recurse(1)))
}

#[expect(unconditional_recursion, reason = "that is what it is for")]
fn recurse(depth: u64) -> u64 {
    let frame = black_box([depth; 8]);
    recurse(depth + 1) + frame[0]
}
