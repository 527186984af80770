//! Options with wrong values, and options at the wrong time.

use crate::bindings::evconn::tcp::listener::{Listener, Options};
use crate::net::{OWN, address, free_port, is_free, listen, local_address, works};
use crate::report::{line, outcome, state};

/// What is done to options.
pub type Setting = fn(&Options);

pub fn all() {
    wrong_values();
    largest_values();
    not_granted();
    after_the_listener();
    dropped_before_the_listener();
}

/// A value that is refused leaves the one before it, with which a listener can still be made.
fn wrong_values() {
    let options = Options::new();
    line("set-backlog of 0", outcome(&options.set_backlog(0)));
    let deferred = options.set_deferred_accept(0, 1);
    line("set-deferred-accept of 0 connections", outcome(&deferred));
    let deferred = options.set_deferred_accept(1, 0);
    line("set-deferred-accept for no time", outcome(&deferred));
    let listener = Listener::bind(address(OWN, 0), Some(&options)).expect("a listener");
    // It delivers a peer that sends nothing: accept is not deferred.
    line("a listener after all that", works(&listener));
}

/// The other end of the range is none of these.
fn largest_values() {
    let options = Options::new();
    line(
        "set-backlog of all",
        outcome(&options.set_backlog(u32::MAX)),
    );
    let deferred = options.set_deferred_accept(u32::MAX, u64::MAX);
    line("set-deferred-accept of all", outcome(&deferred));
    options.set_callback(Some(u64::MAX));
    let listener = Listener::bind(address(OWN, 0), Some(&options)).expect("a listener");
    let peer = crate::net::connect(local_address(&listener));
    let sent = peer.output.blocking_write_and_flush(b"hello");
    sent.expect("sent");
    let events = listener.wait_events(u32::MAX, Some(u64::MAX));
    line("a listener with them", &crate::report::count(events));
}

/// What is refused at the making of the listener leaves nothing open.
fn not_granted() {
    let cases: [(&str, &str, Setting); 5] = [
        ("reuse-port", OWN, |options| options.set_reuse_port(true)),
        ("ipv6-only with IPv4", OWN, |options| {
            options.set_ipv6_only(true)
        }),
        ("dual-stack with IPv4", "127.0.0.1", |options| {
            options.set_dual_stack(true)
        }),
        (
            "dual-stack without a counterpart",
            "2001:db8::1",
            |options| options.set_dual_stack(true),
        ),
        ("dual-stack and reuse-port", "::1", |options| {
            options.set_dual_stack(true);
            options.set_reuse_port(true);
        }),
    ];
    for (what, ip, set) in cases {
        let options = Options::new();
        set(&options);
        let port = free_port();
        let made = Listener::bind(address(ip, port), Some(&options));
        let own = if ip.starts_with("127.") { ip } else { OWN };
        let then = is_free(address(own, port));
        line(what, &format!("{}, {then}", outcome(&made)));
    }
}

/// A change that comes after the listener was made is for the next one.
fn after_the_listener() {
    let options = Options::new();
    options.set_callback(Some(1));
    let first = Listener::bind(address(OWN, 0), Some(&options)).expect("a listener");
    options.set_enabled(false);
    options.set_reuse_port(true);
    line("options changed after the listener", state(&first));
    let second = Listener::bind(address(OWN, 0), Some(&options));
    line("the next one with them", outcome(&second));
    line("the first one", works(&first));
}

fn dropped_before_the_listener() {
    let options = Options::new();
    options.set_enabled(false);
    let listener = Listener::bind(address(OWN, 0), Some(&options)).expect("a listener");
    drop(options);
    line("options dropped before the listener", state(&listener));
    listener.enable().expect("enabled");
    line("and then enabled", works(&listener));
    drop(listener);
    // Options that were never used.
    drop(Options::new());
    let (listener, _) = listen();
    line("another one", works(&listener));
}
