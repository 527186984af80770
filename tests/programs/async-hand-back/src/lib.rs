//! A service of WASI 0.3 that returns the stream that it was given, so that the host echoes by itself.

wit_bindgen::generate!({ path: "../../../wit/v0.3", world: "evconn:tcp/service", generate_all });

use evconn::tcp::types::{Connection, ErrorCode};
use wit_bindgen::{FutureReader, StreamReader};

type Ended = FutureReader<Result<(), ErrorCode>>;

struct HandBack;

impl exports::evconn::tcp::handler::Guest for HandBack {
    async fn handle(
        _: Connection,
        received: StreamReader<u8>,
        ended: Ended,
    ) -> Result<(StreamReader<u8>, Ended), ErrorCode> {
        Ok((received, ended))
    }
}

export!(HandBack);
