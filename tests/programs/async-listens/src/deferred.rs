//! Deferred accept.

use crate::world::{Accepted, World, accept, has_event, line, options, yes};
use evconn_guest::p3::bindings::command::evconn::tcp::listener::{Listener, Options};
use std::time::Duration;

/// Longer than a test takes.
const LONG: Duration = Duration::from_secs(600);

fn deferred(max_held: u32, timeout: Duration) -> Options {
    let options = options();
    let timeout = u64::try_from(timeout.as_nanos()).expect("not that long");
    options
        .set_deferred_accept(max_held, timeout)
        .expect("valid");
    options
}

/// Has the listener hold that many.
async fn hold(listener: &Listener, count: u32) {
    while listener.stats().held < count {
        assert!(!has_event(listener));
    }
}

async fn byte(accepted: Accepted) -> Option<u8> {
    let (mut bytes, _ended) = accepted.received.expect("what is received");
    bytes.next().await
}

/// Only a peer that has sent something is delivered, with what it has sent.
pub async fn bytes(world: &World) {
    let listener = world.listener(&deferred(10, LONG));
    let _silent = world.client(&listener).await;
    let mut client = world.client(&listener).await;
    hold(&listener, 2).await;
    client.send(b"y").await;
    let accepted = accept(&listener).await;
    line("peer", yes(accepted.peer == client.address()));
    line("byte", yes(byte(accepted).await == Some(b'y')));
    line("held", listener.stats().held);
    line("at once", yes(has_event(&listener)));
}

/// A peer that has ended is delivered.
pub async fn ended(world: &World) {
    let listener = world.listener(&deferred(10, LONG));
    let client = world.client(&listener).await;
    let address = client.address();
    drop(client.writer);
    let accepted = accept(&listener).await;
    line("peer", yes(accepted.peer == address));
    let (mut bytes, ended) = accepted.received.expect("what is received");
    line("byte", yes(bytes.next().await.is_some()));
    line("ended", yes(ended.await.is_ok()));
}

/// At `max-held`, nothing more is accepted until one of them sends something.
pub async fn full(world: &World) {
    let listener = world.listener(&deferred(1, LONG));
    let mut first = world.client(&listener).await;
    hold(&listener, 1).await;
    let mut second = world.client(&listener).await;
    second.send(b"2").await;
    line("at once", yes(has_event(&listener)));
    line("held", listener.stats().held);
    first.send(b"1").await;
    line(
        "first",
        yes(byte(accept(&listener).await).await == Some(b'1')),
    );
    line(
        "second",
        yes(byte(accept(&listener).await).await == Some(b'2')),
    );
}

/// One that is held for too long is closed and counted.
pub async fn too_late(world: &World) {
    let listener = world.listener(&deferred(10, Duration::from_millis(5)));
    let client = world.client(&listener).await;
    let (mut bytes, _ended) = client.socket.receive();
    let closed = async { bytes.next().await };
    // The call goes on waiting.
    let call = std::pin::pin!(listener.next_events(1));
    match futures::future::select(call, std::pin::pin!(closed)).await {
        futures::future::Either::Left(_) => panic!("an event"),
        futures::future::Either::Right((byte, _)) => line("byte", yes(byte.is_some())),
    }
    line("timed out", listener.stats().timed_out);
    line("held", listener.stats().held);
}
