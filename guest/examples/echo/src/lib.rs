//! A service that sends every byte back until its peer has sent the last one.

wit_bindgen::generate!({ path: "../../../wit", world: "evconn:tcp/service", generate_all });

use evconn::tcp::connection::Connection;
use wasi::io::streams::StreamError;

struct Echo;

impl exports::evconn::tcp::handler::Guest for Echo {
    fn handle(Connection { input, output, .. }: Connection) -> Result<(), String> {
        loop {
            // Waits for the peer to send something, then for the peer to take it back.
            match output.blocking_splice(&input, u64::MAX) {
                Ok(_) => {}
                Err(StreamError::Closed) => return Ok(()),
                Err(StreamError::LastOperationFailed(error)) => return Err(error.to_debug_string()),
            }
        }
    }
}

export!(Echo);
