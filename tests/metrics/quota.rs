//! What the processes of a server count together.

use super::{ended, is_soon, value};
use crate::server::Running;
use crate::support::descriptors::unchanged;
use crate::support::{DEADLINE, TEST_GUEST, connect, exchange, host};
use evconn::{Limits, Metrics, Quota, Server, Service};

/// Runs a server that is a member.
async fn member(quota: &Quota, number: u16) -> Running {
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let builder = Server::builder(&service)
        .listen("127.0.0.1:0".parse().expect("a source"))
        .member(quota.join(number, 10));
    Running::run(builder, |shutdown| shutdown.grace(DEADLINE)).await
}

async fn echo(server: &Running) {
    let peer = connect(server.address).await;
    assert_eq!(exchange(peer, b"echo\nhello").await, b"hello");
}

fn done(metrics: &Metrics) -> f64 {
    ended(metrics, "done")
}

#[tokio::test]
async fn they_are_the_sums_of_all_members() {
    let _open = unchanged();
    let quota = Quota::create(&Limits::default(), None, 2).expect("a quota");
    let (one, other) = (member(&quota, 0).await, member(&quota, 1).await);
    let own = one.handle.metrics();
    let all = quota.metrics();
    echo(&one).await;
    echo(&one).await;
    echo(&other).await;
    let sample = "evconn_connections_ended_total{cause=\"done\"}";
    is_soon(&all, sample, 3.0).await;
    assert_eq!((done(&own), done(&all)), (2.0, 3.0));
    one.stop().await;
    other.stop().await;
    assert_eq!(value(&all, "evconn_connections_sent_bytes_total"), 15.0);
    assert_eq!(value(&all, "evconn_connections_open"), 0.0);
    // This process is both of them, and counts once.
    let text = all.encode();
    assert!(!text.contains("process=\"0\""), "{text}");

    quota.release(0);
    quota.release(1);
    assert_eq!(done(&all), 3.0);
    assert_eq!(value(&all, "evconn_connections_sent_bytes_total"), 15.0);
    let again = member(&quota, 1).await;
    echo(&again).await;
    again.stop().await;
    assert_eq!(done(&all), 4.0);
}
