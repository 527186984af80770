//! A service of WASI 0.3 that sends every byte back until its peer has sent the last one.

wit_bindgen::generate!({ path: "../../../wit/v0.3", world: "evconn:tcp/service", generate_all });

use evconn::tcp::types::{Connection, ErrorCode};
use exports::evconn::tcp::handler::Guest;
use wit_bindgen::{FutureReader, StreamReader, StreamResult, StreamWriter};

/// How much is received at a time.
const AT_A_TIME: usize = 16 << 10;

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
    let mut buffer = Vec::with_capacity(AT_A_TIME);
    while let (StreamResult::Complete(_), bytes) = received.read(buffer).await {
        buffer = sender.write_all(bytes).await;
        if !buffer.is_empty() {
            // The peer is gone.
            return;
        }
    }
}

export!(Echo);
