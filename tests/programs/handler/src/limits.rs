//! What runs into a limit.

use crate::evconn::tcp::connection::Connection;
use crate::say;
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::io::streams::OutputStream;
use std::sync::atomic::{AtomicU32, Ordering};

/// How many connections this instance has served, with this one.
static CONNECTIONS: AtomicU32 = AtomicU32::new(0);

pub fn one_more() {
    CONNECTIONS.fetch_add(1, Ordering::Relaxed);
}

pub fn count() -> String {
    format!("{}\n", CONNECTIONS.load(Ordering::Relaxed))
}

/// Have that many handles at a time, besides those of the connection.
pub fn hold(output: &OutputStream, argument: &str) -> Result<(), String> {
    let count: usize = argument.parse().map_err(|_| "hold takes a number")?;
    let held: Vec<_> = (0..count).map(|_| subscribe_duration(u64::MAX)).collect();
    drop(held);
    say(output, "held\n");
    Ok(())
}

/// Never read.
pub fn ignore(connection: &Connection) {
    say(&connection.output, "ignoring\n");
    subscribe_duration(u64::MAX).block();
}

/// Write for as long as anybody takes it.
pub fn pour(output: &OutputStream) {
    while output.blocking_write_and_flush(&[b'x'; 4096]).is_ok() {}
}

/// There is no end to it.
#[expect(unconditional_recursion, reason = "that is what it is for")]
pub fn recurse(depth: u64) -> u64 {
    let room = std::hint::black_box([depth; 8]);
    recurse(depth + 1) + room[0]
}

/// Wait for that many milliseconds.
pub fn wait(output: &OutputStream, argument: &str) -> Result<(), String> {
    let millis: u64 = argument.parse().map_err(|_| "wait takes a number")?;
    subscribe_duration(millis * 1_000_000).block();
    say(output, "waited\n");
    Ok(())
}

/// Write that many bytes without asking whether that many may be written.
pub fn write_unasked(output: &OutputStream, argument: &str) -> Result<(), String> {
    let count: usize = argument
        .parse()
        .map_err(|_| "write-unasked takes a number")?;
    // Not reached. Otherwise the peer is told, and the test notices.
    let result = output.write(&vec![b'x'; count]);
    say(output, &format!("{result:?}\n"));
    Ok(())
}

/// The same with zeroes.
pub fn zeroes_unasked(output: &OutputStream, argument: &str) -> Result<(), String> {
    let count = argument
        .parse()
        .map_err(|_| "zeroes-unasked takes a number")?;
    let result = output.write_zeroes(count);
    say(output, &format!("{result:?}\n"));
    Ok(())
}

/// Write and flush that many bytes in one call.
pub fn write_at_once(output: &OutputStream, argument: &str) -> Result<(), String> {
    let count: usize = argument
        .parse()
        .map_err(|_| "write-at-once takes a number")?;
    let result = output.blocking_write_and_flush(&vec![b'x'; count]);
    say(output, &format!("{result:?}\n"));
    Ok(())
}

/// Ask for that many random bytes.
pub fn random(output: &OutputStream, argument: &str) -> Result<(), String> {
    let count = argument.parse().map_err(|_| "random takes a number")?;
    let bytes = crate::wasi::random::random::get_random_bytes(count);
    say(output, &format!("{}\n", bytes.len()));
    Ok(())
}
