//! A service that sends the date and the time in one line, and closes the connection: the daytime protocol,
//! RFC 867.

mod date;

wit_bindgen::generate!({ path: "../../../wit", world: "evconn:tcp/service", generate_all });

use evconn::tcp::connection::Connection;
use wasi::clocks::wall_clock;

struct Daytime;

impl exports::evconn::tcp::handler::Guest for Daytime {
    // The input is not read.
    fn handle(Connection { output, .. }: Connection) -> Result<(), String> {
        let line = date::iso_8601(wall_clock::now().seconds) + "\r\n";
        output
            .blocking_write_and_flush(line.as_bytes())
            .map_err(|error| format!("the time cannot be sent: {error:?}"))
    }
}

export!(Daytime);
