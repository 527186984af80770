//! Whatever a program does to its listener, it gets an error or there is no effect; documented traps end
//! that program alone.
//!
//! The program is `tests/misuse-guest`, with `listener.wasm` composed into it.

use super::composed::{Grant, Program, Ran};
use super::linked;
use crate::support::{ask, descriptors, has_ipv6, read_line, within};
use std::net::{Ipv4Addr, SocketAddr};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// Runs the program, and see that it said just that, without a trap.
async fn says(program: Program, arguments: &[&str], expected: &[&str]) {
    let Ran { lines, trap } = program.run(arguments).await;
    assert!(trap.is_none(), "after {lines:#?}: {trap:?}");
    assert_eq!(lines, expected);
}

fn on_loopback() -> Program {
    Program::new(Grant::Loopback)
}

mod calls {
    //! Each line: the call, what came of it, the state after it, and whether the port is free
    //! once the listener is dropped.

    use super::*;

    #[tokio::test]
    async fn while_accepting() {
        let expected = [
            "enable twice: ok ok, accepting, free",
            "disable twice: done, disabled, free",
            "retry twice: done, accepting, free",
            "set-callback some twice: done, accepting, free",
            "set-callback none twice: done, paused, free",
            "set-error-callback none twice: done, accepting, free",
            "next-events of 0: 0 events, accepting, free",
            "wait-events of 0: 0 events, accepting, free",
            "next-events: 0 events, accepting, free",
            "wait-events for 1 ms: 0 events, accepting, free",
            "subscribe: 1 pollables, accepting, free",
            "local-addresses and stats: ok, accepting, free",
        ];
        says(on_loopback(), &["calls", "accepting"], &expected).await;
    }

    #[tokio::test]
    async fn while_disabled() {
        let expected = [
            "enable twice: ok ok, accepting, free",
            "disable twice: done, disabled, free",
            "retry twice: done, disabled, free",
            "set-callback some twice: done, disabled, free",
            "set-callback none twice: done, disabled, free",
            "set-error-callback none twice: done, disabled, free",
            "next-events of 0: 0 events, disabled, free",
            "wait-events of 0: 0 events, disabled, free",
            "next-events: 0 events, disabled, free",
            "wait-events for 1 ms: 0 events, disabled, free",
            "subscribe: 0 pollables, disabled, free",
            "local-addresses and stats: ok, disabled, free",
            "wait-events without end: 0 events",
            "next-events with a peer: 0 events",
        ];
        says(on_loopback(), &["calls", "disabled"], &expected).await;
    }

    #[tokio::test]
    async fn while_paused() {
        let expected = [
            "enable twice: ok ok, paused, free",
            "disable twice: done, disabled, free",
            "retry twice: done, paused, free",
            "set-callback some twice: done, accepting, free",
            "set-callback none twice: done, paused, free",
            "set-error-callback none twice: done, paused, free",
            "next-events of 0: 0 events, paused, free",
            "wait-events of 0: 0 events, paused, free",
            "next-events: 0 events, paused, free",
            "wait-events for 1 ms: 0 events, paused, free",
            "subscribe: 0 pollables, paused, free",
            "local-addresses and stats: ok, paused, free",
            "wait-events without end: 0 events",
            "next-events with a peer: 0 events",
        ];
        says(on_loopback(), &["calls", "paused"], &expected).await;
    }

    #[tokio::test]
    async fn while_backing_off() {
        let expected = [
            "enable twice: ok ok, backing-off, free",
            "disable twice: done, disabled, free",
            "retry twice: done, accepting, free",
            "set-callback some twice: done, backing-off, free",
            "set-callback none twice: done, paused, free",
            "set-error-callback none twice: done, backing-off, free",
            "next-events of 0: 0 events, backing-off, free",
            "wait-events of 0: 0 events, backing-off, free",
            "next-events: 0 events, backing-off, free",
            "wait-events for 1 ms: 0 events, backing-off, free",
            "subscribe: 1 pollables, backing-off, free",
            "local-addresses and stats: ok, backing-off, free",
        ];
        let program = on_loopback().accept_fails(ErrorCode::NewSocketLimit);
        says(program, &["calls", "backing-off"], &expected).await;
    }

    #[tokio::test]
    async fn while_stopped() {
        let expected = [
            "enable twice: invalid-state invalid-state, stopped, free",
            "disable twice: done, stopped, free",
            "retry twice: done, stopped, free",
            "set-callback some twice: done, stopped, free",
            "set-callback none twice: done, stopped, free",
            "set-error-callback none twice: done, stopped, free",
            "next-events of 0: 0 events, stopped, free",
            "wait-events of 0: 0 events, stopped, free",
            "next-events: 0 events, stopped, free",
            "wait-events for 1 ms: 0 events, stopped, free",
            "subscribe: 0 pollables, stopped, free",
            "local-addresses and stats: ok, stopped, free",
            "wait-events without end: 0 events",
            "next-events with a peer: 0 events",
        ];
        let program = on_loopback().accept_fails(ErrorCode::InvalidState);
        says(program, &["calls", "stopped"], &expected).await;
    }
}

#[tokio::test]
async fn options_with_wrong_values_and_at_the_wrong_time() {
    let expected = [
        "set-backlog of 0: invalid-argument",
        "set-deferred-accept of 0 connections: invalid-argument",
        "set-deferred-accept for no time: invalid-argument",
        "a listener after all that: works",
        "set-backlog of all: ok",
        "set-deferred-accept of all: ok",
        "a listener with them: 1 events",
        "reuse-port: not-supported, free",
        "ipv6-only with IPv4: invalid-argument, free",
        "dual-stack with IPv4: invalid-argument, free",
        "dual-stack without a counterpart: invalid-argument, free",
        "dual-stack and reuse-port: not-supported, free",
        "options changed after the listener: accepting",
        "the next one with them: not-supported",
        "the first one: works",
        "options dropped before the listener: disabled",
        "and then enabled: works",
        "another one: works",
    ];
    says(on_loopback(), &["options"], &expected).await;
}

/// `foreign` is what comes of an address that is not one of this machine's.
async fn addresses_are_refused(grant: Grant, foreign: &str) {
    if !has_ipv6() {
        return;
    }
    let foreign = format!("203.0.113.1: {foreign}, free");
    let expected = [
        "224.0.0.1: invalid-argument, free",
        "255.255.255.255: invalid-argument, free",
        &foreign,
        "ff02::1: invalid-argument, free",
        "::ffff:127.0.0.1: invalid-argument, free",
        "in use: address-in-use",
        "the first one: works",
        "without the first one: free",
        "dual-stack, half in use: address-in-use",
        "the other half: free",
        "who had the half: works",
    ];
    says(Program::new(grant), &["addresses"], &expected).await;
}

#[tokio::test]
async fn addresses_that_cannot_be_bound() {
    addresses_are_refused(Grant::Everything, "address-not-bindable").await;
}

#[tokio::test]
async fn addresses_that_are_not_granted() {
    addresses_are_refused(Grant::Loopback, "access-denied").await;
}

#[tokio::test]
async fn sockets_that_make_no_listener() {
    if !has_ipv6() {
        return;
    }
    let expected = [
        "no socket: invalid-argument",
        "three sockets: invalid-argument, free free free",
        "two of IPv4: invalid-argument, free free",
        "two unbound: invalid-state",
        "two ports: invalid-argument, free free",
        "two of IPv6: invalid-argument, free free",
        "two networks: invalid-argument",
        "the first of them: free",
        "the second of them: free",
        "unbound: invalid-state",
        linked::BIND_IN_PROGRESS,
        "its address: free",
        "connect in progress: invalid-state",
        "connected: invalid-state",
        "connecting to nobody: connection-refused",
        "connect failed: invalid-state",
        "reuse-port: not-supported",
        "its address: free",
        "ipv6-only with IPv4: invalid-argument",
        "its address: free",
        "listen in progress: works",
        "into-sockets and from-sockets: works",
        "into-sockets and nothing: free",
    ];
    says(on_loopback(), &["from-sockets"], &expected).await;
}

mod traps {
    //! The mistakes of SEMANTICS.md, section 8.

    use super::*;

    const HAS_CHILDREN: &str = "resource has children";

    /// While one program makes the mistake and is ended for it, another goes on.
    async fn ends_alone(mistake: &str, why: &str) {
        let control = tokio::net::TcpListener::bind((Ipv4Addr::LOCALHOST, 0));
        let control = control.await.expect("a listener");
        let control_address = control.local_addr().expect("an address").to_string();
        let other = tokio::spawn(async move {
            let arguments = ["serve", control_address.as_str()];
            on_loopback().run(&arguments).await
        });
        let (mut control, _) = within("the other one listens", control.accept())
            .await
            .expect("connected");
        let other_address = within("its address", read_line(&mut control)).await;

        trapped(mistake, why).await;

        let other_address = other_address.trim().parse().expect("an address");
        let mut stream = crate::support::connect(other_address).await;
        assert_eq!(ask(&mut stream, "still here\n").await, "still here\n");
        let Ran { trap, .. } = other.await.expect("no panic");
        assert!(trap.is_none(), "{trap:?}");
    }

    /// It traps for that reason, not before all is ready for it, and leaves nothing open.
    async fn trapped(mistake: &str, why: &str) {
        let Ran { lines, trap } = on_loopback().run(&["trap", mistake]).await;
        let trap = trap.unwrap_or_else(|| panic!("no trap: {lines:#?}"));
        assert!(format!("{trap:?}").contains(why), "{trap:?}");
        let [line] = &lines[..] else {
            panic!("{lines:#?}");
        };
        let address = line.strip_prefix("ready: ").expect("an address");
        let address: SocketAddr = address.parse().expect("an address");
        assert_eq!(descriptors::bound_to(address), 0);
    }

    #[tokio::test]
    async fn a_socket_dropped_before_its_streams() {
        ends_alone("socket-before-streams", HAS_CHILDREN).await;
    }

    #[tokio::test]
    async fn a_stream_dropped_before_its_pollable() {
        ends_alone("stream-before-pollable", HAS_CHILDREN).await;
    }

    #[tokio::test]
    async fn a_listener_dropped_before_its_pollables() {
        ends_alone("listener-before-pollables", HAS_CHILDREN).await;
    }

    #[tokio::test]
    async fn returned_sockets_dropped_before_the_pollables() {
        ends_alone("sockets-before-pollables", HAS_CHILDREN).await;
    }

    #[tokio::test]
    async fn an_empty_list_polled() {
        ends_alone("empty-poll", "empty poll list").await;
    }

    #[tokio::test]
    async fn from_sockets_given_a_socket_with_streams() {
        ends_alone("from-sockets-with-streams", HAS_CHILDREN).await;
    }

    #[tokio::test]
    async fn from_sockets_given_a_socket_with_a_pollable() {
        ends_alone("from-sockets-with-pollable", HAS_CHILDREN).await;
    }
}
