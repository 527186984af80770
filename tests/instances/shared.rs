//! Connections that meet in an instance.

use super::{Client, LONG, open, policy, room, serve, service, stop};
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use evconn::InstancePolicy;
use std::num::NonZeroU32;
use std::time::Duration;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_one_says_is_heard_by_all() {
    let _open = unchanged();
    let Some(server) = room(policy(3, 1)).await else {
        return;
    };
    let mut clients = [(); 3].map(|()| Client::connect(&server));
    let counts = clients.each_mut().map(Client::count);
    assert_eq!(counts[2], "3 came, 3 here, 0 failed");
    clients[1].say("say hello");
    for client in &mut clients {
        assert_eq!(client.hear(), "hello");
    }
    clients.into_iter().for_each(Client::leave);
    assert_eq!(stop(server).await.connections, 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_finds_no_place_waits_until_somebody_leaves() {
    let _open = unchanged();
    let Some(server) = room(policy(2, 1)).await else {
        return;
    };
    let mut clients = [(); 2].map(|()| Client::connect(&server));
    let counts = clients.each_mut().map(Client::count);
    assert_eq!(counts[1], "2 came, 2 here, 0 failed");
    let mut third = Client::connect(&server);
    third.say("count");
    assert_eq!(clients[0].count(), "2 came, 2 here, 0 failed");
    assert_eq!(server.handle.open(), 2, "it is in the accept queue");
    let [first, mut second] = clients;
    first.leave();
    assert_eq!(third.hear(), "3 came, 2 here, 0 failed");
    assert_eq!(second.count(), third.count());
    second.leave();
    third.leave();
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_instance_is_made_when_the_first_is_full() {
    let _open = unchanged();
    let Some(server) = room(policy(2, 0)).await else {
        return;
    };
    let mut clients: Vec<_> = (0..5).map(|_| Client::connect(&server)).collect();
    for client in &mut clients {
        client.count();
    }
    let counts: Vec<_> = clients.iter_mut().map(Client::count).collect();
    let pairs = counts
        .iter()
        .filter(|count| count.contains("2 came, 2 here"));
    assert_eq!(pairs.count(), 4, "{counts:?}");
    clients.into_iter().for_each(Client::leave);
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_with_an_accept_loop_serves_them_in_turn() {
    let _open = unchanged();
    let Some(service) = service("std-acts", &["serve"]) else {
        return;
    };
    let policy = InstancePolicy {
        reuse: NonZeroU32::new(3),
        ..policy(1, 1)
    };
    let server = serve(&service, policy).await;
    for served in ["1", "2", "3", "1", "2", "3", "1"] {
        let mut client = Client::connect(&server);
        assert_eq!(client.ask("served"), served);
        drop(client);
    }
    open(&server, 0).await;
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_has_had_its_connections_ends_after_them() {
    let _open = unchanged();
    let policy = InstancePolicy {
        reuse: NonZeroU32::new(2),
        ..policy(2, 1)
    };
    let Some(server) = room(policy).await else {
        return;
    };
    let [first, mut second] = [(); 2].map(|()| Client::arrive(&server));
    first.leave();
    // It is accepted, and waits for the next instance.
    let mut third = Client::connect(&server);
    third.say("count");
    open(&server, 2).await;
    assert_eq!(second.count(), "2 came, 1 here, 0 failed");
    second.leave();
    assert_eq!(third.hear(), "1 came, 1 here, 0 failed");
    third.leave();
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_idle_instance_is_used_again_or_ends() {
    let _open = unchanged();
    for (idle_timeout, expected) in [(LONG, "2 came"), (Duration::ZERO, "1 came")] {
        let log = Log::start();
        let policy = InstancePolicy {
            idle_timeout,
            ..policy(2, 1)
        };
        let Some(server) = room(policy).await else {
            return;
        };
        Client::connect(&server).leave();
        // How long it takes until it has ended is not known.
        let mut counts = Vec::new();
        loop {
            let mut client = Client::connect(&server);
            counts.push(client.count());
            client.leave();
            if counts.iter().any(|count| count.starts_with(expected)) {
                break;
            }
        }
        stop(server).await;
        let starts = log.text().matches("the room is open").count();
        assert_eq!(starts > 1, idle_timeout.is_zero(), "{counts:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_printed_is_the_instance_s_unless_it_has_one_connection_at_a_time() {
    let _open = unchanged();
    for (concurrency, of_whom) in [(1, "connection's"), (2, "instance's")] {
        let log = Log::start();
        let Some(server) = room(policy(concurrency, 1)).await else {
            return;
        };
        let mut client = Client::connect(&server);
        client.say("print something");
        client.count();
        client.leave();
        stop(server).await;
        let expected = format!("{of_whom} stdout: \"something\"");
        assert!(log.text().contains(&expected), "{}", log.text());
    }
}
