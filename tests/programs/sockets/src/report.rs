//! The lines to the host and from it, and how results are written in them.

use crate::bindings::wasi::cli::stdin::get_stdin;
use crate::bindings::wasi::cli::stdout::get_stdout;
use crate::bindings::wasi::io::streams::StreamError;
use crate::bindings::wasi::sockets::network::ErrorCode;
use std::fmt::Display;

/// Say what came of what.
pub fn line(what: &str, outcome: impl Display) {
    let text = format!("{what}: {outcome}\n");
    get_stdout()
        .blocking_write_and_flush(text.as_bytes())
        .expect("stdout takes it");
}

/// Wait until the host says so.
pub fn wait_for_host() {
    let byte = get_stdin().blocking_read(1).expect("the host is there");
    assert_eq!(byte, b"\n");
}

/// `ok`, or the code's name.
pub fn outcome<T>(result: &Result<T, ErrorCode>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(code) => code.name(),
    }
}

/// The same of a stream. Which error it was is another matter: its text is nobody's to rely on.
pub fn stream_outcome<T>(result: &Result<T, StreamError>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(StreamError::Closed) => "closed",
        Err(StreamError::LastOperationFailed(_)) => "failed",
    }
}

pub fn same(same: bool) -> &'static str {
    if same { "the same" } else { "another" }
}

pub fn yes(yes: bool) -> &'static str {
    if yes { "yes" } else { "no" }
}
