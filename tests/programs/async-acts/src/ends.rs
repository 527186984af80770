//! The ways to end a connection, and its directions.

use super::bytes::{copy, count, print, say};
use super::{Ended, Stage};
use crate::evconn::tcp::types::ErrorCode;
use crate::wasi::clocks::monotonic_clock;

const AT_A_TIME: usize = 64 << 10;

/// Sends all that is received, and finishes as the peer has.
pub async fn echo(stage: Stage) {
    copy(stage.received, stage.sender).await;
    finish(stage.finish, stage.ended.await).await;
}

/// Reads to the end, and tells how that was.
pub async fn ended(mut stage: Stage) {
    let count = count(&mut stage.received).await;
    let ended = stage.ended.await;
    print(&format!("{count} bytes, {ended:?}")).await;
    say(&mut stage.sender, &format!("{count} bytes, {ended:?}")).await;
}

/// Sends so many bytes, and ends like this.
pub async fn burst(stage: Stage, size: usize, how: Ended) {
    let stage = write(stage, size).await;
    drop(stage.sender);
    finish(stage.finish, how).await;
}

/// Sends so many bytes.
pub async fn write(mut stage: Stage, size: usize) -> Stage {
    let mut left = size;
    while left > 0 {
        let bytes = vec![b'x'; left.min(AT_A_TIME)];
        left -= bytes.len();
        if !stage.sender.write_all(bytes).await.is_empty() {
            break;
        }
    }
    stage
}

/// Fails before the stream has ended.
pub async fn fail_first(mut stage: Stage) {
    say(&mut stage.sender, "half of it").await;
    let why = ErrorCode::Other(Some("the other half is missing".to_owned()));
    finish(stage.finish, Err(why)).await;
    count(&mut stage.received).await;
}

/// Ends its own direction, and goes on reading. Tells the log how much that was.
pub async fn send_no_more(stage: Stage) {
    drop(stage.sender);
    finish(stage.finish, Ok(())).await;
    let mut received = stage.received;
    let count = count(&mut received).await;
    print(&format!("{count} bytes after the end")).await;
}

/// Drops what is received, and sends something nevertheless.
pub async fn read_no_more(mut stage: Stage) {
    drop(stage.received);
    let ended = stage.ended.await;
    say(&mut stage.sender, &format!("no more: {ended:?}")).await;
}

/// Ends the connection, and goes on until its peer has ended it, too.
pub async fn go_on(stage: Stage) {
    drop(stage.sender);
    finish(stage.finish, Ok(())).await;
    let mut received = stage.received;
    count(&mut received).await;
    print("it has gone on").await;
}

/// Writes until nobody reads it.
pub async fn write_until_closed(mut stage: Stage) {
    while stage
        .sender
        .write_all(vec![b'x'; AT_A_TIME])
        .await
        .is_empty()
    {}
    print("nobody reads it").await;
}

/// Waits for so many milliseconds.
pub async fn sleep(mut stage: Stage, milliseconds: usize) {
    monotonic_clock::wait_for(milliseconds as u64 * 1_000_000).await;
    say(&mut stage.sender, "awake").await;
}

async fn finish(finish: wit_bindgen::FutureWriter<Ended>, how: Ended) {
    // Nobody reads it if the connection has ended.
    let _ = finish.write(how).await;
}
