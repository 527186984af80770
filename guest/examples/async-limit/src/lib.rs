//! A filter that limits the rate of each direction of a connection:
//! `evconn serve APP.wasm --through async-limit.wasm --env RATE=100000`, in bytes per second.

use evconn_guest::p3::{Connection, Reader, Writer, next, sleep};
use futures::{AsyncBufReadExt, AsyncWriteExt, try_join};
use std::io;
use std::time::Duration;

/// The rate without a variable of the environment, in bytes per second.
const DEFAULT: u32 = 1 << 20;

/// What is passed at a time, as a part of a second.
const PARTS: u32 = 20;

async fn limit(connection: Connection) -> io::Result<()> {
    let rate = rate()?;
    let ((from_peer, to_peer), (from_next, to_next)) = next(connection).await;
    try_join!(
        pass(from_peer, to_next, rate),
        pass(from_next, to_peer, rate)
    )?;
    Ok(())
}

/// Returns the rate, in bytes per second.
fn rate() -> io::Result<u32> {
    let variables = evconn_guest::wasi::cli::environment::get_environment();
    let Some((_, rate)) = variables.into_iter().find(|(name, _)| name == "RATE") else {
        return Ok(DEFAULT);
    };
    let rate = rate.parse().ok().filter(|rate| *rate > 0);
    rate.ok_or_else(|| io::Error::other("RATE is a number of bytes per second, 1 or more"))
}

/// Sends all of one side to the other, and then its end.
async fn pass(from: Reader, to: Writer, rate: u32) -> io::Result<()> {
    match copy(from, to, rate).await {
        // Nobody takes it any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        passed => passed,
    }
}

/// Waits after each part for as long as it may take.
async fn copy(mut from: Reader, mut to: Writer, rate: u32) -> io::Result<()> {
    let most = rate.div_ceil(PARTS) as usize;
    loop {
        let bytes = from.fill_buf().await?;
        if bytes.is_empty() {
            return to.close().await;
        }
        let part = &bytes[..bytes.len().min(most)];
        let taken = to.write(part).await?;
        from.consume_unpin(taken);
        sleep(Duration::from_secs_f64(taken as f64 / f64::from(rate))).await;
    }
}

evconn_guest::p3_service!(limit);
