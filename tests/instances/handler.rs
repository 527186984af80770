//! The policy, for handlers.

use super::{Client, open, policy, serve, stop};
use crate::support::descriptors::unchanged;
use crate::support::{TEST_GUEST, host};
use evconn::{Error, Server, Service};

fn service() -> Service {
    Service::new(host(), TEST_GUEST).expect("a service")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn connections_meet_in_one_instance_in_turn() {
    let _open = unchanged();
    let server = serve(&service(), policy(1, 1)).await;
    let mut first = Client::connect(&server);
    first.say("echo");
    assert_eq!(first.ask("hello"), "hello");
    let mut second = Client::connect(&server);
    second.say("count");
    assert_eq!(first.ask("again"), "again");
    assert_eq!(
        server.handle.open(),
        1,
        "the other one is in the accept queue"
    );
    drop(first);
    assert_eq!(second.hear(), "2");
    drop(second);
    let mut third = Client::connect(&server);
    assert_eq!(third.ask("count"), "3");
    drop(third);
    open(&server, 0).await;
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn one_has_no_connections_at_a_time() {
    let builder = Server::builder(&service()).instances(policy(2, 1));
    let Err(Error::NotConcurrent { asked: 2 }) = builder.bind().await else {
        panic!("a handler serves one connection at a time");
    };
}
