//! What no handler should do.

use super::bytes::{count, say};
use super::{Stage, wit_stream};
use std::hint::black_box;
use std::mem::forget;

/// Computes for ever.
pub fn spin() -> ! {
    loop {
        black_box(());
    }
}

/// Makes so many streams, and drops none.
pub async fn leak(mut stage: Stage, streams: usize) {
    for _ in 0..streams {
        forget(wit_stream::new::<u8>());
    }
    say(&mut stage.sender, "leaked").await;
}

/// Takes so many MiB of memory.
pub async fn grow(mut stage: Stage, mebibytes: usize) {
    let memory = vec![1_u8; mebibytes << 20];
    black_box(&memory);
    say(&mut stage.sender, "grown").await;
}

/// Keeps everything for ever, and does nothing with it.
pub async fn hold(mut stage: Stage) {
    count(&mut stage.received).await;
    forget(stage);
}
