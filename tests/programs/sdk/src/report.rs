//! How the program and its test talk with each other: in lines.

use evconn_guest::{Listener, println};
use std::fmt::Display;
use std::io::Read;
use std::net::SocketAddr;

/// Say what came of what.
pub fn say(what: &str, outcome: impl Display) {
    println!("{what}: {outcome}");
}

/// Wait for the test to say that it has done what it was to do.
pub fn wait_for_test() {
    let mut stdin = evconn_guest::wasi::cli::stdin::get_stdin();
    stdin.read_exact(&mut [0]).expect("the test says so");
}

/// Say where a listener listens.
pub fn say_address(listener: &Listener) -> SocketAddr {
    let addresses = listener.local_addresses().expect("it is open");
    say("listening", addresses[0]);
    addresses[0]
}
