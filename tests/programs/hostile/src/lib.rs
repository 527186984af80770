//! A service that harms its neighbours as well as it can: the peer's first line names an act.
//!
//! The peer reads `ok` when the act begins. The act `echo` is the polite one, so that good and hostile
//! connections meet in one server.

mod allocator;
mod calls;
mod compute;
mod hoard;
mod memory;
mod trap;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "evconn:tcp/service",
    generate_all,
});

use allocator::How;
use evconn::tcp::connection::Connection;
use exports::evconn::tcp::handler::Guest;
use wasi::clocks::monotonic_clock::subscribe_duration;
use wasi::io::streams::{InputStream, OutputStream};

/// The longest first line.
const MAX_LINE: usize = 1024;

struct Hostile;

impl Guest for Hostile {
    fn handle(connection: Connection) -> Result<(), String> {
        let line = read_line(&connection.input);
        let words: Vec<_> = line.split_whitespace().collect();
        let act = act_of(&words).ok_or_else(|| format!("there is no act {line:?}"))?;
        say(&connection.output, b"ok\n");
        act(connection)
    }
}

/// An act. Most of them do not return.
type Act = Box<dyn FnOnce(Connection) -> Result<(), String>>;

/// Finds the act that these words name.
fn act_of(words: &[&str]) -> Option<Act> {
    Some(match *words {
        ["echo"] => Box::new(|connection| echo(&connection)),
        ["sleep"] => Box::new(|_connection| sleep()),
        ["spin"] => Box::new(|_connection| compute::spin()),
        ["compute", millis, nap] => {
            let (millis, nap) = (number(millis)?, number(nap)?);
            Box::new(move |_connection| compute::again_and_again(millis, nap))
        }
        ["recurse"] => Box::new(|_connection| compute::recurse_without_end()),
        ["fill", mib] => {
            let mib = number(mib)?;
            Box::new(move |_connection| memory::fill(mib))
        }
        ["copy", mib] => {
            let mib = number(mib)?;
            Box::new(move |_connection| memory::copy(mib))
        }
        ["grow"] => Box::new(|_connection| memory::grow()),
        ["hoard", kind, count] => {
            let (kind, count) = (kind.to_owned(), number(count)?);
            Box::new(move |connection| hoard::hoard(&connection, &kind, count))
        }
        ["calls", kind] => {
            let kind = kind.to_owned();
            Box::new(move |connection| calls::call(&connection, &kind))
        }
        ["realloc", how] => {
            let how = How::named(how)?;
            Box::new(move |_connection| allocator::in_realloc(how))
        }
        ["post-return", how] => {
            let how = How::named(how)?;
            Box::new(move |_connection| allocator::in_post_return(how))
        }
        ["trap", call] => {
            let call = number(call)?;
            Box::new(move |connection| trap::at_call(connection, call))
        }
        ["fail", bytes] => {
            let error = "x".repeat(number(bytes)?);
            Box::new(move |_connection| Err(error))
        }
        _ => return None,
    })
}

fn number<T: std::str::FromStr>(word: &str) -> Option<T> {
    word.parse().ok()
}

/// The polite act: what comes is read into memory and written back.
fn echo(Connection { input, output, .. }: &Connection) -> Result<(), String> {
    while let Ok(bytes) = input.blocking_read(4096) {
        if output.blocking_write_and_flush(&bytes).is_err() {
            break;
        }
    }
    Ok(())
}

/// Does nothing for longer than anybody waits.
fn sleep() -> Result<(), String> {
    subscribe_duration(u64::MAX).block();
    Ok(())
}

/// The first line, without its end. What follows it stays in the stream.
fn read_line(input: &InputStream) -> String {
    let mut line = Vec::new();
    while line.len() < MAX_LINE {
        match input.blocking_read(1) {
            Ok(byte) if byte == b"\n" => break,
            Ok(byte) => line.extend(byte),
            Err(_) => break,
        }
    }
    String::from_utf8_lossy(&line).into_owned()
}

fn say(output: &OutputStream, text: &[u8]) {
    // The peer may be gone, which is no reason to be polite.
    let _ = output.blocking_write_and_flush(text);
}

export!(Hostile);
