//! The host's functions, in a tight loop.

use crate::evconn::tcp::connection::Connection;
use crate::wasi::cli::environment::{get_arguments, get_environment};
use crate::wasi::cli::{stderr, stdout};
use crate::wasi::clocks::monotonic_clock::{now, subscribe_duration, subscribe_instant};
use crate::wasi::io::poll::poll;
use crate::wasi::io::streams::OutputStream;
use crate::wasi::random::insecure::get_insecure_random_bytes;
use crate::wasi::random::random::{get_random_bytes, get_random_u64};
use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;

/// How many pollables are polled at once: fewer than the handles that an instance may have by default.
const POLLABLES: usize = 500;

/// As many random bytes as the host gives at once.
const RANDOM: u64 = 256 << 10;

const LARGE: u64 = 1 << 20;
const LINE: usize = 4096;

pub fn call(connection: &Connection, kind: &str) -> Result<(), String> {
    let Connection { output, socket, .. } = connection;
    match kind {
        "clock" => for_ever(now),
        "random" => for_ever(get_random_u64),
        "random-large" => for_ever(|| get_random_bytes(RANDOM)),
        "insecure-large" => for_ever(|| get_insecure_random_bytes(RANDOM)),
        "address" => for_ever(|| socket.remote_address()),
        "option" => for_ever(|| socket.set_receive_buffer_size(1 << 16)),
        "environment" => for_ever(|| (get_environment(), get_arguments())),
        "timer" => for_ever(|| subscribe_duration(1)),
        "yield" => for_ever(|| subscribe_instant(0).block()),
        "poll" => poll_for_ever(),
        "lookup" => for_ever(|| resolve_addresses(&instance_network(), "localhost")),
        "lookup-long" => {
            let name = "x".repeat(LARGE as usize);
            for_ever(|| resolve_addresses(&instance_network(), &name))
        }
        "print" => print_for_ever(&stdout::get_stdout(), b"a line that a stranger prints\n"),
        "print-long" => print_for_ever(&stderr::get_stderr(), &[b'x'; LINE]),
        "flush" => for_ever(|| output.flush()),
        "write" => for_ever(|| output.blocking_write_and_flush(&[b'x'; LINE])),
        "zeroes" => for_ever(|| output.blocking_write_zeroes_and_flush(LINE as u64)),
        "unready" => for_ever(|| connection.input.read(LARGE)),
        _ => Err(format!("there is nothing to call that is called {kind:?}")),
    }
}

fn for_ever<T>(call: impl Fn() -> T) -> ! {
    loop {
        drop(call());
    }
}

/// One of many is ready, and the host looks at all of them.
fn poll_for_ever() -> ! {
    let mut all: Vec<_> = (1..POLLABLES)
        .map(|_| subscribe_duration(u64::MAX))
        .collect();
    all.push(subscribe_instant(0));
    let all: Vec<_> = all.iter().collect();
    for_ever(|| poll(&all))
}

fn print_for_ever(stream: &OutputStream, text: &[u8]) -> ! {
    for_ever(|| stream.blocking_write_and_flush(text))
}
