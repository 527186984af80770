//! A service of WASI 0.3 that sends every byte back until its peer has sent the last one.

wit_bindgen::generate!({ path: "../../../wit/v0.3", world: "evconn:tcp/service", generate_all });

use evconn::tcp::types::{Connection, ErrorCode};
use exports::evconn::tcp::handler::Guest;
use wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};

/// The least and the most that is received at a time.
const LEAST: usize = 4 << 10;
const MOST: usize = 64 << 10;

struct Echo;

impl Guest for Echo {
    async fn handle(
        _: Connection,
        received: StreamReader<u8>,
        ended: FutureReader<Result<(), ErrorCode>>,
    ) -> Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>), ErrorCode> {
        let (sender, sent) = wit_stream::new();
        // Goes on when the handler has returned.
        wit_bindgen::spawn(copy(received, sender));
        // The connection ends as the peer has ended it.
        Ok((sent, ended))
    }
}

/// Sends all that is received.
async fn copy(mut received: StreamReader<u8>, mut sender: StreamWriter<u8>) {
    let mut buffer = Vec::with_capacity(LEAST);
    while let (StreamResult::Complete(_), bytes) = received.read(buffer).await {
        // An idle connection has a small buffer, and a busy one a large one.
        let room = (2 * bytes.len()).clamp(LEAST, MOST);
        buffer = sender.write_all(bytes).await;
        if !buffer.is_empty() {
            // The peer is gone.
            return;
        }
        buffer.reserve(room);
    }
}

export!(Echo);
