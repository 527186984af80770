//! Addresses that nobody can bind to.

use crate::bindings::evconn::tcp::listener::{Listener, Options};
use crate::net::{OWN, address, free_port, is_free, listen, local_address, port, works};
use crate::report::{line, outcome};

pub fn all() {
    unbindable();
    in_use();
    if has_ipv6() {
        half_in_use();
    } else {
        line("no IPv6", "skipped");
    }
}

fn unbindable() {
    for ip in [
        "224.0.0.1",
        "255.255.255.255",
        "203.0.113.1",
        "ff02::1",
        "::ffff:127.0.0.1",
    ] {
        let port = free_port();
        let made = Listener::bind(address(ip, port), None);
        let then = is_free(address(OWN, port));
        line(ip, &format!("{}, {then}", outcome(&made)));
    }
}

/// Whoever came first is not disturbed.
fn in_use() {
    let (first, taken) = listen();
    line("in use", outcome(&Listener::bind(taken, None)));
    line("the first one", works(&first));
    drop(first);
    line("without the first one", is_free(taken));
}

fn has_ipv6() -> bool {
    Listener::bind(address("::1", 0), None).is_ok()
}

/// If only one half of a pair can be had, neither is left open.
fn half_in_use() {
    let ipv4 = Listener::bind(address("127.0.0.1", 0), None).expect("a listener");
    let port = port(local_address(&ipv4));
    let ipv6 = address("::1", port);
    let options = Options::new();
    options.set_dual_stack(true);
    let made = Listener::bind(ipv6, Some(&options));
    line("dual-stack, half in use", outcome(&made));
    line("the other half", is_free(ipv6));
    line("who had the half", works(&ipv4));
}
