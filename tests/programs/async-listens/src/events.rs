//! `next-events`: batches, waiting, cancellation, errors.

use crate::world::{CALLBACK, World, accept, connections, has_event, line, local, options, yes};
use evconn_guest::p3::bindings::command::evconn::tcp::listener::{Event, Recovery, State};
use evconn_guest::p3::sleep;
use futures::FutureExt;
use futures::future::{Either, join, select};
use std::pin::pin;
use std::time::Duration;

/// At most `max`, in the kernel's order, each with the callback.
pub async fn batches(world: &World) {
    let listener = world.listener(&options());
    let mut expected = Vec::new();
    let mut clients = Vec::new();
    for _ in 0..5 {
        let client = world.client(&listener).await;
        expected.push(client.address());
        clients.push(client);
    }
    let mut accepted = connections(listener.next_events(2).await);
    line("of two", accepted.len());
    while accepted.len() < 5 {
        accepted.extend(connections(listener.next_events(64).await));
    }
    let peers: Vec<_> = accepted.iter().map(|one| one.peer.clone()).collect();
    line("in their order", yes(peers == expected));
    let all = accepted.iter().all(|one| one.callback == CALLBACK);
    line("callback", yes(all));
    let received = accepted.iter().any(|one| one.received.is_some());
    line("received", yes(received));
    line("accepted", listener.stats().accepted);
}

/// A call waits for a client that connects later.
pub async fn a_wait(world: &World) {
    let listener = world.listener(&options());
    line("at once", yes(has_event(&listener)));
    for _ in 0..3 {
        let (accepted, client) = join(accept(&listener), world.client(&listener)).await;
        line("peer", yes(accepted.peer == client.address()));
    }
}

pub async fn nothing_is_asked_for(world: &World) {
    let listener = world.listener(&options());
    let _client = world.client(&listener).await;
    line("events", listener.next_events(0).await.len());
    line("accepted", listener.stats().accepted);
}

/// A call that is cancelled while it waits has taken nothing.
pub async fn a_wait_that_is_cancelled(world: &World) {
    const CLIENTS: usize = 50;
    let listener = world.listener(&options());
    let mut accepted = Vec::new();
    let mut clients = Vec::new();
    while accepted.len() < CLIENTS {
        // The call is dropped unless it returns at once.
        let events = listener.next_events(1).now_or_never();
        accepted.extend(connections(events.unwrap_or_default()));
        if clients.len() < CLIENTS {
            clients.push(world.client(&listener).await);
        } else if accepted.len() < CLIENTS {
            accepted.extend(connections(listener.next_events(1).await));
        }
    }
    let expected: Vec<_> = clients.iter().map(|client| client.address()).collect();
    let peers: Vec<_> = accepted.iter().map(|one| one.peer.clone()).collect();
    line("all of them, in their order", yes(peers == expected));
}

/// Calls at the same time are served one after the other.
pub async fn several_calls(world: &World) {
    let listener = world.listener(&options());
    let both = join(accept(&listener), accept(&listener));
    let clients = async {
        let first = world.client(&listener).await;
        (first, world.client(&listener).await)
    };
    let ((one, other), _clients) = join(both, clients).await;
    line("different", yes(one.peer != other.peer));
}

/// Two descriptors: the listening socket's, and a client's. The host has none left for what it would accept.
pub async fn errors(world: &World) {
    let listener = world.listener(&options());
    let client = world.client(&listener).await;
    let mut events = listener.next_events(64).await;
    line("events", events.len());
    let Some(Event::Error(error)) = events.pop() else {
        panic!("not an error");
    };
    line("code", crate::world::outcome::<()>(&Err(error.code)));
    let Recovery::Retrying(after) = error.recovery else {
        panic!("it has stopped");
    };
    line("retrying", Duration::from_nanos(after).as_millis());
    let left = matches!(listener.state(), State::BackingOff(_) | State::Accepting);
    line("goes on", yes(left));
    // The next step, twice as long.
    let Some(Event::Error(error)) = listener.next_events(64).await.pop() else {
        panic!("not an error");
    };
    let Recovery::Retrying(after) = error.recovery else {
        panic!("it has stopped");
    };
    line("then", Duration::from_nanos(after).as_millis());
    let stats = listener.stats();
    let both = [stats.resource_errors, stats.backoff_steps];
    line("counted", yes(both == [2, 2]));
    // Its connection stays in the queue when the client is gone, and there is a descriptor for it.
    let peer = client.address();
    drop(client);
    listener.retry();
    loop {
        match listener.next_events(1).await.pop() {
            Some(Event::Connection(event)) => {
                let same = crate::world::shown(event.peer_address) == peer;
                break line("accepted", yes(same));
            }
            Some(Event::Error(_)) => {}
            None => panic!("it has stopped"),
        }
    }
}

/// Without an error callback, there are steps and no events.
pub async fn errors_that_nobody_wants(world: &World) {
    let listener = world.listener(&options());
    listener.set_error_callback(None);
    let _client = world.client(&listener).await;
    let some_steps = async {
        while listener.stats().backoff_steps < 3 {
            sleep(Duration::from_millis(1)).await;
        }
    };
    let events = match select(pin!(listener.next_events(64)), pin!(some_steps)).await {
        Either::Left((events, _)) => events.len(),
        Either::Right(_) => 0,
    };
    line("events", events);
    line("addresses", local(&listener).len());
    line("errors", yes(listener.stats().resource_errors >= 3));
    listener.disable();
    line(
        "at once",
        yes(listener.next_events(1).now_or_never().is_some()),
    );
}
