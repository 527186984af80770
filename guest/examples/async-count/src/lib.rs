//! A filter that counts: `evconn serve APP.wasm --through async-count.wasm` logs how many bytes each connection has
//! received and sent, and which one it was of its instance.

use evconn_guest::p3::{Connection, Reader, Writer, next};
use futures::{AsyncBufReadExt, AsyncWriteExt, try_join};
use std::cell::Cell;
use std::io;

thread_local! {
    /// How many connections the instance has had.
    static CONNECTIONS: Cell<u64> = const { Cell::new(0) };
}

async fn count(connection: Connection) -> io::Result<()> {
    let connections = CONNECTIONS.get() + 1;
    CONNECTIONS.set(connections);
    let (received, sent) = (Cell::new(0), Cell::new(0));
    let ((from_peer, to_peer), (from_next, to_next)) = next(connection).await;
    let both = try_join!(
        pass(from_peer, to_next, &received),
        pass(from_next, to_peer, &sent)
    );
    let (received, sent) = (received.get(), sent.get());
    evconn_guest::println!(
        "{received} bytes received, {sent} sent by connection {connections} of this instance"
    );
    both.map(|_| ())
}

/// Sends all of one side to the other, and then its end.
async fn pass(from: Reader, to: Writer, count: &Cell<u64>) -> io::Result<()> {
    match copy(from, to, count).await {
        // Nobody takes it any more.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        passed => passed,
    }
}

async fn copy(mut from: Reader, mut to: Writer, count: &Cell<u64>) -> io::Result<()> {
    loop {
        let bytes = from.fill_buf().await?;
        if bytes.is_empty() {
            return to.close().await;
        }
        let taken = to.write(bytes).await?;
        from.consume_unpin(taken);
        count.set(count.get() + taken as u64);
    }
}

evconn_guest::p3_service!(count);
