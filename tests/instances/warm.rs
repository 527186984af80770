//! Instances that are made ahead.

use super::{Client, DEADLINE, open, policy, service, stop};
use crate::server::{Running, eventually};
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::{TEST_GUEST, host};
use evconn::{Error, InstancePolicy, Server, Service};
use std::num::NonZeroU32;
use tokio::time::timeout;

/// Serves with a policy that makes instances ahead, once the first is ready.
async fn serve_warm(service: &Service, policy: InstancePolicy) -> Result<Running, Error> {
    let builder = Server::builder(service)
        .listen("127.0.0.1:0".parse().expect("a source"))
        .instances(policy);
    let server = builder.bind().await?;
    server.warmed_up().await?;
    Ok(Running::of(server, |shutdown| shutdown.grace(DEADLINE)))
}

fn fresh(warm: usize) -> InstancePolicy {
    InstancePolicy {
        reuse: NonZeroU32::new(1),
        warm,
        ..policy(1, 0)
    }
}

/// Waits until this many lines of the log say so.
async fn told(log: &Log, what: &str, count: usize) {
    let is_so = eventually("it is logged as often", async || {
        log.text().matches(what).count() == count
    });
    let is_told = timeout(DEADLINE / 2, is_so).await.is_ok();
    assert!(
        is_told,
        "{what:?} is not told {count} times: {}",
        log.text()
    );
}

const OPEN: &str = "the room is open";
const READY: &str = "an instance is ready that was made ahead";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_connection_takes_one_and_another_is_made() {
    let _open = unchanged();
    let log = Log::start();
    let Some(service) = service("std-room", &[]) else {
        return;
    };
    let server = serve_warm(&service, fresh(2)).await.expect("warm");
    told(&log, OPEN, 2).await;
    for connection in 1..=3 {
        let mut client = Client::connect(&server);
        assert_eq!(client.count(), "1 came, 1 here, 0 failed");
        told(&log, OPEN, 2 + connection).await;
        client.leave();
    }
    open(&server, 0).await;
    stop(server).await;
    let text = log.text();
    assert!(
        text.contains("instance's stdout: \"the room is open\""),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn they_are_within_the_number_of_instances() {
    let _open = unchanged();
    let log = Log::start();
    let Some(service) = service("std-room", &[]) else {
        return;
    };
    let policy = InstancePolicy {
        warm: 1,
        ..policy(2, 1)
    };
    let server = serve_warm(&service, policy).await.expect("warm");
    let mut clients = [(); 2].map(|()| Client::arrive(&server));
    assert_eq!(clients[0].count(), "2 came, 2 here, 0 failed");
    clients.into_iter().for_each(Client::leave);
    stop(server).await;
    assert_eq!(log.text().matches(OPEN).count(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_handler_s_are_instantiated() {
    let _open = unchanged();
    let log = Log::with_details();
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let server = serve_warm(&service, fresh(1)).await.expect("warm");
    for connection in 1..=3 {
        told(&log, READY, connection).await;
        let mut client = Client::connect(&server);
        assert_eq!(client.ask("count"), "1");
    }
    open(&server, 0).await;
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_a_reload_they_are_the_new_service_s() {
    let _open = unchanged();
    let log = Log::start();
    let Some(service) = service("std-room", &[]) else {
        return;
    };
    let server = serve_warm(&service, fresh(1)).await.expect("warm");
    // It serves: otherwise it would be what it does at its begin, on another thread, that is told to no log.
    let came = async |opened| {
        let mut client = Client::connect(&server);
        assert_eq!(client.count(), "1 came, 1 here, 0 failed");
        told(&log, OPEN, opened).await;
        client.leave();
    };
    came(2).await;
    server.handle.reload(&service).expect("reloaded");
    told(&log, OPEN, 3).await;
    came(4).await;
    stop(server).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_program_that_ends_before_it_accepts_is_told_at_the_start() {
    let _open = unchanged();
    for (act, said) in [
        (
            "return",
            "exited with status 0 before it waited for a connection",
        ),
        (
            "fail",
            "exited with status 1 before it waited for a connection",
        ),
        ("panic", "wasm trap"),
    ] {
        let Some(service) = service("std-acts", &[act]) else {
            return;
        };
        let Err(error) = serve_warm(&service, fresh(1)).await else {
            panic!("{act}: it is ready");
        };
        assert!(matches!(error, Error::NotWarm { .. }), "{error}");
        let text = error.to_string();
        assert!(text.contains(said) && !text.contains('\n'), "{text}");
    }
}
