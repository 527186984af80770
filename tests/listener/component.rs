//! `listener.wasm` alone, on wasmtime-wasi's sockets: its imports, its size, and the calls that the
//! host's own library does not make.

use super::instance::{Instance, NO_EVENTS, State};
use crate::support::connect;
use crate::support::descriptors::{self, unchanged};
use std::net::{Ipv4Addr, SocketAddr};
use wasmtime::Engine;
use wasmtime::component::Component;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

#[test]
fn it_imports_sockets_io_clocks_and_its_own_types_only() {
    let _open = unchanged();
    let engine = Engine::default();
    let component = Component::new(&engine, evconn::guests::LISTENER).expect("a component");
    let component_type = component.component_type();
    let mut imports: Vec<_> = component_type
        .imports(&engine)
        .map(|(name, _)| name)
        .collect();
    imports.sort_unstable();
    assert_eq!(
        imports,
        [
            "evconn:tcp/connection@0.1.0",
            "wasi:clocks/monotonic-clock@0.2.12",
            "wasi:io/poll@0.2.12",
            "wasi:io/streams@0.2.12",
            "wasi:sockets/instance-network@0.2.12",
            "wasi:sockets/network@0.2.12",
            "wasi:sockets/tcp-create-socket@0.2.12",
            "wasi:sockets/tcp@0.2.12",
        ]
    );
    let exports: Vec<_> = component_type
        .exports(&engine)
        .map(|(name, _)| name)
        .collect();
    assert_eq!(exports, ["evconn:tcp/listener@0.1.0"]);
}

#[test]
fn it_is_at_most_48_kib() {
    let _open = unchanged();
    let size = evconn::guests::LISTENER.len();
    assert!(size <= 48 << 10, "{size} bytes");
}

#[test]
fn no_path_of_the_machine_that_built_it_is_in_a_component() {
    let _open = unchanged();
    let workspace = std::path::Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .and_then(std::path::Path::to_str)
        .expect("the workspace's path");
    for component in [evconn::guests::LISTENER, evconn::guests::ECHO] {
        for path in [workspace, ".cargo/", ".rustup/"] {
            let found = component
                .windows(path.len())
                .any(|window| window == path.as_bytes());
            assert!(!found, "{path} is in a component");
        }
    }
}

#[tokio::test]
async fn max_caps_what_is_taken_and_the_order_is_the_kernels() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let (listener, address) = instance.listen(1).await;
    let mut clients = Vec::new();
    for _ in 0..5 {
        clients.push(connect(address).await);
    }
    assert_eq!(instance.next_events(listener, 0).await, NO_EVENTS);
    assert_eq!(instance.wait_events(listener, 0, None).await, NO_EVENTS);
    assert_eq!(instance.wait_events(listener, 2, None).await, [1, 1]);
    // What was not taken yet goes to the callback that is set by then.
    instance.set_callback(listener, Some(2)).await;
    assert_eq!(instance.wait_events(listener, 100, None).await, [2, 2, 2]);
}

#[tokio::test]
async fn a_listener_that_is_off_has_nothing_to_wait_for() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let (listener, address) = instance.listen(1).await;
    let _client = connect(address).await;

    instance.disable(listener).await;
    assert!(matches!(instance.state(listener).await, State::Disabled));
    assert!(instance.subscribe(listener).await.is_empty());
    assert_eq!(instance.next_events(listener, 1).await, NO_EVENTS);
    assert_eq!(instance.wait_events(listener, 1, None).await, NO_EVENTS);
    assert_eq!(
        instance.wait_events(listener, 1, Some(1_000_000)).await,
        NO_EVENTS
    );

    instance.enable(listener).await;
    instance.set_callback(listener, None).await;
    assert!(matches!(instance.state(listener).await, State::Paused));
    assert!(instance.subscribe(listener).await.is_empty());
    assert_eq!(instance.wait_events(listener, 1, None).await, NO_EVENTS);

    instance.set_callback(listener, Some(3)).await;
    assert!(matches!(instance.state(listener).await, State::Accepting));
    let pollables = instance.subscribe(listener).await;
    assert_eq!(pollables.len(), 1);
    instance.unsubscribe(pollables);
    assert_eq!(instance.wait_events(listener, 1, None).await, [3]);
}

#[tokio::test]
async fn a_wait_ends_at_its_timeout() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let (listener, address) = instance.listen(1).await;
    assert_eq!(instance.wait_events(listener, 1, Some(0)).await, NO_EVENTS);
    assert_eq!(
        instance.wait_events(listener, 1, Some(1_000_000)).await,
        NO_EVENTS
    );
    let _client = connect(address).await;
    assert_eq!(instance.wait_events(listener, 1, Some(u64::MAX)).await, [1]);
}

#[tokio::test]
async fn a_listener_taken_apart_and_put_together_loses_no_peer() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let (listener, address) = instance.listen(1).await;
    let _first = connect(address).await;
    let sockets = instance.take_apart(listener).await;
    assert_eq!(sockets.len(), 1);
    let _second = connect(address).await;
    let listener = instance.put_together(sockets).await.expect("a listener");
    assert_eq!(instance.address(listener).await, address);
    instance.set_callback(listener, Some(4)).await;
    let mut taken = instance.wait_events(listener, 1, None).await;
    taken.extend(instance.wait_events(listener, 1, None).await);
    assert_eq!(taken, [4, 4]);
}

#[tokio::test]
async fn from_sockets_wants_bound_sockets() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let none = instance.put_together(vec![]).await;
    assert_eq!(none.expect_err("no socket"), ErrorCode::InvalidArgument);

    let unbound = instance.create_socket();
    let unbound = instance.put_together(vec![unbound]).await;
    assert_eq!(unbound.expect_err("unbound"), ErrorCode::InvalidState);

    let bound = instance.create_socket();
    instance.bind_socket(&bound).await;
    let listener = instance.put_together(vec![bound]).await.expect("bound");
    instance.set_callback(listener, Some(5)).await;
    let address = instance.address(listener).await;
    let _client = connect(address).await;
    assert_eq!(instance.wait_events(listener, 1, None).await, [5]);
}

#[tokio::test]
async fn options_that_cannot_be_granted_are_not_supported() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);

    let options = instance.new_options().await;
    let (guest, store) = instance.options();
    guest
        .call_set_reuse_port(&mut *store, options, true)
        .await
        .expect("no trap");
    let reuse_port = instance.bind(address, Some(options)).await;
    assert_eq!(reuse_port.expect_err("refused"), ErrorCode::NotSupported);
}

/// One `options` serves for several listeners, which keep what they were made with.
#[tokio::test]
async fn options_are_copied() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let address = SocketAddr::new(Ipv4Addr::LOCALHOST.into(), 0);
    let options = instance.new_options().await;
    let (guest, store) = instance.options();
    guest
        .call_set_enabled(&mut *store, options, false)
        .await
        .expect("no trap");
    guest
        .call_set_callback(&mut *store, options, Some(6))
        .await
        .expect("no trap");
    let first = instance.bind(address, Some(options)).await.expect("bound");
    let (guest, store) = instance.options();
    guest
        .call_set_enabled(&mut *store, options, true)
        .await
        .expect("no trap");
    let second = instance.bind(address, Some(options)).await.expect("bound");
    assert!(matches!(instance.state(first).await, State::Disabled));
    assert!(matches!(instance.state(second).await, State::Accepting));
}

#[tokio::test]
async fn a_dropped_listener_closes_its_port() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let (listener, address) = instance.listen(1).await;
    let _queued = connect(address).await;
    listener
        .resource_drop_async(&mut instance.store)
        .await
        .expect("dropped");
    tokio::net::TcpStream::connect(address)
        .await
        .expect_err("nobody listens");
}

/// Each has its own callback, its own state and its own peers.
#[tokio::test]
async fn two_listeners_in_one_store_keep_to_themselves() {
    let _open = unchanged();
    let mut instance = Instance::new().await;
    let (first, first_address) = instance.listen(1).await;
    let (second, second_address) = instance.listen(2).await;
    assert_ne!(first_address, second_address);
    let _clients = [
        connect(first_address).await,
        connect(second_address).await,
        connect(second_address).await,
    ];
    instance.disable(first).await;
    assert_eq!(instance.wait_events(second, 1, None).await, [2]);
    assert_eq!(instance.next_events(first, 8).await, NO_EVENTS);

    // What ends the one does not touch the other.
    instance.enable(first).await;
    descriptors::break_listening(second_address);
    let mut taken = Vec::new();
    while !matches!(instance.state(second).await, State::Stopped(_)) {
        taken.extend(instance.wait_events(second, 1, None).await);
    }
    assert!(taken.len() <= 1, "the peer may have been accepted ahead");
    assert!(matches!(instance.state(first).await, State::Accepting));
    assert_eq!(instance.wait_events(first, 1, None).await, [1]);
}
