//! Servers in C, of wasi-libc's sockets.

use super::echo::is_an_echo_server;
use super::{LONG, serve_file};
use crate::support::descriptors::unchanged;
use crate::support::wasi_c::program;

fn echoes(name: &str) {
    let _open = unchanged();
    let Some(component) = program(name) else {
        return;
    };
    is_an_echo_server(serve_file(component.to_str().expect("text"), &LONG));
}

#[test]
fn one_that_blocks_in_accept() {
    echoes("c-echo");
}

/// Its timeout is one of those that are over when they have passed. It looks up where to listen.
#[test]
fn one_that_polls() {
    echoes("c-poll");
}
