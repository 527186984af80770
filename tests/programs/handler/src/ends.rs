//! How a connection, and its instance, can end.

use crate::evconn::tcp::connection::Connection;
use crate::say;
use crate::wasi::cli::exit::exit;
use crate::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::wasi::sockets::tcp::ShutdownType;

/// What is said comes first, and then the end.
pub fn end(connection: Connection, argument: &str) -> Result<(), String> {
    let (how, text) = argument.split_once(' ').unwrap_or((argument, ""));
    say(&connection.output, text);
    match how {
        "drop-and-return" => drop(connection),
        "drop-and-give-up" => {
            drop(connection);
            return Err("it gives up".to_owned());
        }
        "drop-and-trap" => {
            drop(connection);
            std::process::abort();
        }
        "drop-and-go-on" => {
            drop(connection);
            subscribe_duration(u64::MAX).block();
        }
        "shutdown-and-go-on" => {
            let _ = connection.socket.shutdown(ShutdownType::Send);
            subscribe_duration(u64::MAX).block();
        }
        "give-up" => return Err("it gives up".to_owned()),
        "exit" => exit(Ok(())),
        "exit-with-failure" => exit(Err(())),
        _ => return Err(format!("there is no such end: {how:?}")),
    }
    Ok(())
}

/// Wait until the peer is likely to be gone, and count what it has sent by then.
pub fn read_late(connection: &Connection, millis: &str) -> Result<(), String> {
    let millis: u64 = millis.parse().map_err(|_| "read-late takes a number")?;
    say(&connection.output, "waiting\n");
    subscribe_duration(millis * 1_000_000).block();
    let mut count = 0;
    while let Ok(bytes) = connection.input.blocking_read(4096) {
        count += bytes.len();
    }
    crate::granted::print(false, &format!("{count} bytes were read late\n"));
    Ok(())
}
