//! A filter of WASI 0.2: it greets the peer, and passes the connection on to the next handler.

wit_bindgen::generate!({
    inline: "
        package evconn:sync-filter;
        world filter {
            import evconn:tcp/handler@0.1.0;
            export evconn:tcp/handler@0.1.0;
        }
    ",
    path: "../../../wit",
    world: "evconn:sync-filter/filter",
    generate_all,
});

use evconn::tcp::connection::Connection;
use evconn::tcp::handler::handle;
use exports::evconn::tcp::handler::Guest;

struct Filter;

impl Guest for Filter {
    fn handle(connection: Connection) -> Result<(), String> {
        let greeted = connection.output.blocking_write_and_flush(b"filtered\n");
        greeted.map_err(|error| error.to_string())?;
        handle(connection)
    }
}

export!(Filter);
