//! The lines on stdout, and how results and states are written in them.

use crate::bindings::evconn::tcp::listener::{Event, Listener, State};
use crate::bindings::wasi::cli::stdout::get_stdout;
use crate::bindings::wasi::sockets::network::ErrorCode;

/// Say what came of what.
pub fn line(what: &str, outcome: &str) {
    let text = format!("{what}: {outcome}\n");
    get_stdout()
        .blocking_write_and_flush(text.as_bytes())
        .expect("stdout takes it");
}

/// `ok`, or the code's name.
pub fn outcome<T>(result: &Result<T, ErrorCode>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(code) => code.name(),
    }
}

pub fn state(listener: &Listener) -> &'static str {
    match listener.state() {
        State::Accepting => "accepting",
        State::Disabled => "disabled",
        State::Paused => "paused",
        State::BackingOff(_) => "backing-off",
        State::Stopped(_) => "stopped",
    }
}

/// How many events there are. Connections among them are closed.
pub fn count(events: Vec<Event>) -> String {
    format!("{} events", events.len())
}
