//! How connections end that share an instance, and how the instance does.

use super::{Client, open, policy, room, serve_within, service, stop};
use crate::server::eventually;
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use evconn::Limits;
use socket2::SockRef;
use std::time::Duration;

/// Two instances with two clients each.
fn two_pairs(server: &crate::server::Running) -> [Client; 4] {
    // One after the other, so that it is known who is with whom.
    [(); 4].map(|()| Client::arrive(server))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_trap_resets_all_of_its_instance_and_no_other() {
    let _open = unchanged();
    let log = Log::start();
    let Some(server) = room(policy(2, 2)).await else {
        return;
    };
    let [mut first, second, mut third, fourth] = two_pairs(&server);
    first.say("panic");
    first.expect_reset();
    second.expect_reset();
    assert_eq!(third.count(), "2 came, 2 here, 0 failed");
    third.leave();
    fourth.leave();
    assert_eq!(stop(server).await.failed, 2);
    let told = "connection failed: wasm trap";
    assert_eq!(log.text().matches(told).count(), 2, "{}", log.text());
    assert!(log.text().contains("its instance had 2 connections"));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_exit_with_an_error_resets_them_and_one_without_ends_them() {
    let _open = unchanged();
    let Some(server) = room(policy(2, 1)).await else {
        return;
    };
    for (command, is_regular) in [("exit 0", true), ("exit 3", false), ("close", true)] {
        let mut clients = [(); 2].map(|()| Client::arrive(&server));
        clients[0].say(command);
        for client in clients {
            match is_regular {
                true => client.ends(),
                false => client.expect_reset(),
            }
        }
        open(&server, 0).await;
    }
    let served = stop(server).await;
    assert_eq!((served.connections, served.failed), (6, 2));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_whose_peer_has_reset_it_leaves_the_others() {
    let _open = unchanged();
    let Some(server) = room(policy(2, 1)).await else {
        return;
    };
    let [first, mut second] = [(); 2].map(|()| Client::arrive(&server));
    let linger = SockRef::from(first.0.get_ref()).set_linger(Some(Duration::ZERO));
    linger.expect("set");
    drop(first);
    eventually("its end is noticed", async || {
        second.count() == "2 came, 1 here, 1 failed"
    })
    .await;
    // Its place is free.
    let mut third = Client::connect(&server);
    assert_eq!(third.count(), "3 came, 2 here, 1 failed");
    third.leave();
    second.leave();
    // The guest may notice it before the host does: then it has closed the connection.
    let served = stop(server).await;
    assert_eq!((served.connections, served.failed), (3, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_is_idle_for_too_long_leaves_the_others() {
    let _open = unchanged();
    let Some(service) = service("std-room", &[]) else {
        return;
    };
    let limits = Limits {
        idle_timeout: Some(Duration::from_secs(1)),
        ..Limits::default()
    };
    let server = serve_within(&service, policy(2, 1), limits).await;
    let [first, mut second] = [(); 2].map(|()| Client::arrive(&server));
    // Who asks is not idle.
    eventually("the other one is ended", async || {
        second.count() == "2 came, 1 here, 1 failed"
    })
    .await;
    first.expect_reset();
    second.leave();
    let served = stop(server).await;
    assert_eq!((served.timed_out, served.failed), (1, 0));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_that_accepts_no_more_makes_way_for_another() {
    let _open = unchanged();
    let log = Log::start();
    let Some(service) = service("std-room", &[]) else {
        return;
    };
    let limits = Limits {
        idle_timeout: Some(Duration::from_millis(500)),
        ..Limits::default()
    };
    let server = serve_within(&service, policy(2, 1), limits).await;
    let mut first = Client::arrive(&server);
    first.say("spin");
    // Until the instance has ended, nobody is accepted.
    eventually("another instance accepts", async || {
        let mut client = Client::connect(&server);
        client.say("count");
        client.hears_something()
    })
    .await;
    first.expect_reset();
    stop(server).await;
    let text = log.text();
    assert!(
        text.contains("ended: no byte either way for 500ms"),
        "{text}"
    );
    assert!(
        text.contains("its program has not accepted it for 500ms"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reload_the_old_instance_keeps_its_connections() {
    let _open = unchanged();
    let Some(service) = service("std-room", &[]) else {
        return;
    };
    let server = serve_within(&service, policy(2, 1), Limits::default()).await;
    let mut old = Client::arrive(&server);
    server.handle.reload(&service).expect("reloaded");
    let mut new = Client::connect(&server);
    assert_eq!(new.count(), "1 came, 1 here, 0 failed");
    assert_eq!(old.count(), "1 came, 1 here, 0 failed");
    old.leave();
    new.leave();
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_waits_for_the_connections_of_an_instance() {
    let _open = unchanged();
    let Some(server) = room(policy(2, 1)).await else {
        return;
    };
    let mut client = Client::arrive(&server);
    let handle = server.handle.clone();
    let stopping = tokio::spawn(stop(server));
    handle.stopping().await;
    assert_eq!(client.count(), "1 came, 1 here, 0 failed");
    client.leave();
    let served = stopping.await.expect("no panic");
    assert!(served.is_clean());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_ends_now_resets_them() {
    let _open = unchanged();
    let Some(server) = room(policy(2, 1)).await else {
        return;
    };
    let clients = [(); 2].map(|()| Client::arrive(&server));
    let served = server.stop_now().await;
    clients.into_iter().for_each(Client::expect_reset);
    assert_eq!(served.killed, 2);
}
