//! What a server counts of its connections and instances.

use super::{ended, is_soon, refused, start, value};
use crate::server::eventually;
use crate::support::descriptors::unchanged;
use crate::support::{ask, connect, exchange, is_turned_away, reset, wait_for_close};
use evconn::{InstancePolicy, Limits, PeerFilter};
use std::num::{NonZeroU32, NonZeroU64, NonZeroUsize};
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

/// Serves connections with these limits that begin with these commands. Each ends for this cause.
async fn end_for(limits: Limits, causes: &[(&str, &str)]) {
    let server = start(|builder| builder.limits(limits)).await;
    let metrics = server.handle.metrics();
    for (command, cause) in causes {
        let mut peer = connect(server.address).await;
        peer.write_all(command.as_bytes()).await.expect("sent");
        let sample = format!("evconn_connections_ended_total{{cause=\"{cause}\"}}");
        is_soon(&metrics, &sample, 1.0).await;
        wait_for_close(&mut peer).await;
    }
    server.stop().await;
    let all = value(&metrics, "evconn_connections_accepted_total");
    assert_eq!(all, causes.len() as f64);
    assert_eq!(ended(&metrics, "done"), 0.0);
}

#[tokio::test]
async fn ends_are_counted_by_cause() {
    let _open = unchanged();
    let limits = Limits {
        cpu_timeout: Some(Duration::from_millis(10)),
        max_handles: 100,
        ..Limits::default()
    };
    let causes = [
        ("error why\n", "handler_error"),
        ("trap\n", "trap"),
        ("spin\n", "cpu_timeout"),
        ("hold 100\n", "handle_limit"),
    ];
    end_for(limits, &causes).await;
    let limit = Some(Duration::from_millis(100));
    let idle = Limits {
        idle_timeout: limit,
        ..Limits::default()
    };
    end_for(idle, &[("echo\n", "idle_timeout")]).await;
    let short = Limits {
        timeout: limit,
        ..Limits::default()
    };
    end_for(short, &[("echo\n", "timeout")]).await;
}

#[tokio::test]
async fn a_reset_and_the_shutdown_are_causes() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let metrics = server.handle.metrics();
    let mut gone = connect(server.address).await;
    assert_eq!(ask(&mut gone, "ignore\n").await, "ignoring\n");
    reset(gone);
    let sample = "evconn_connections_ended_total{cause=\"peer_gone\"}";
    is_soon(&metrics, sample, 1.0).await;
    let mut open = connect(server.address).await;
    ask(&mut open, "echo\nhello\n").await;
    server.stop_now().await;
    assert_eq!(ended(&metrics, "shutdown"), 1.0);
}

#[tokio::test]
async fn the_bytes_and_the_times_of_a_connection_are_counted() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let metrics = server.handle.metrics();
    let peer = connect(server.address).await;
    let request = [b"echo\n".as_slice(), &[b'x'; 100_000]].concat();
    assert_eq!(exchange(peer, &request).await.len(), 100_000);
    let mut silent = connect(server.address).await;
    silent.write_all(b"trap\n").await.expect("sent");
    wait_for_close(&mut silent).await;
    server.stop().await;
    let value = |sample| value(&metrics, sample);
    assert_eq!(value("evconn_connections_accepted_total"), 2.0);
    assert_eq!(value("evconn_connections_open"), 0.0);
    assert_eq!(value("evconn_connections_received_bytes_total"), 100_010.0);
    assert_eq!(value("evconn_connections_sent_bytes_total"), 100_000.0);
    assert_eq!(value("evconn_connection_duration_seconds_count"), 2.0);
    // The other one was sent nothing.
    assert_eq!(value("evconn_connection_first_byte_seconds_count"), 1.0);
    let first = value("evconn_connection_first_byte_seconds_sum");
    let all = value("evconn_connection_duration_seconds_sum");
    assert!(0.0 < first && first < all, "{first} {all}");
    assert_eq!(value("evconn_instantiation_duration_seconds_count"), 2.0);
    assert!(value("evconn_guest_cpu_seconds_total") > 0.0);
}

/// One of two has more than comes at once.
#[tokio::test]
async fn connections_that_wait_for_a_rate_are_counted() {
    let _open = unchanged();
    let limits = Limits {
        limit_rate: NonZeroU64::new(1_000),
        ..Limits::default()
    };
    let server = start(|builder| builder.limits(limits)).await;
    let metrics = server.handle.metrics();
    let mut few = connect(server.address).await;
    assert_eq!(ask(&mut few, "echo\nhello\n").await, "hello\n");
    drop(few);
    let many = connect(server.address).await;
    let begin = Instant::now();
    let request = [b"echo\n".as_slice(), &[b'x'; 2_000]].concat();
    assert_eq!(exchange(many, &request).await.len(), 2_000);
    server.stop().await;
    let all = 2.0 * begin.elapsed().as_secs_f64();
    let value = |sample| value(&metrics, sample);
    assert_eq!(value("evconn_connections_throttled_total"), 1.0);
    let received = value("evconn_throttle_wait_seconds_total{direction=\"received\"}");
    let sent = value("evconn_throttle_wait_seconds_total{direction=\"sent\"}");
    let waited = received + sent;
    assert!(0.1 < waited && waited < all, "{received} {sent}");
}

#[tokio::test]
async fn what_is_open_is_known_while_it_is_open() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let metrics = server.handle.metrics();
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = connect(server.address).await;
        ask(&mut peer, "echo\nhello\n").await;
        peers.push(peer);
    }
    assert_eq!(value(&metrics, "evconn_connections_open"), 3.0);
    assert_eq!(value(&metrics, "evconn_instances_open"), 3.0);
    let memory = value(&metrics, "evconn_guest_memory_bytes");
    assert!(memory >= 3.0 * 65_536.0, "{memory}");
    // They are open for as long as it takes: bytes are counted meanwhile.
    is_soon(&metrics, "evconn_connections_sent_bytes_total", 18.0).await;
    drop(peers);
    server.stop().await;
    for gauge in ["connections_open", "instances_open", "guest_memory_bytes"] {
        assert_eq!(value(&metrics, &format!("evconn_{gauge}")), 0.0, "{gauge}");
    }
    assert_eq!(value(&metrics, "evconn_instances_created_total"), 3.0);
    assert_eq!(value(&metrics, "evconn_instances_reused_total"), 0.0);
}

#[tokio::test]
async fn an_instance_that_serves_again_is_counted() {
    let _open = unchanged();
    let policy = InstancePolicy {
        reuse: None,
        max_instances: Some(NonZeroUsize::MIN),
        warm: 1,
        ..InstancePolicy::FRESH
    };
    let server = start(|builder| builder.instances(policy)).await;
    let metrics = server.handle.metrics();
    is_soon(&metrics, "evconn_instances_warmed_total", 1.0).await;
    for _ in 0..3 {
        let peer = connect(server.address).await;
        assert_eq!(exchange(peer, b"echo\nhello").await, b"hello");
    }
    server.stop().await;
    assert_eq!(value(&metrics, "evconn_instances_created_total"), 1.0);
    assert_eq!(value(&metrics, "evconn_instances_reused_total"), 2.0);
}

#[tokio::test]
async fn refusals_are_counted_by_cause() {
    let _open = unchanged();
    let limits = Limits {
        max_connections_per_peer: Some(1),
        ..Limits::default()
    };
    let server = start(|builder| builder.limits(limits)).await;
    let metrics = server.handle.metrics();
    let mut first = connect(server.address).await;
    ask(&mut first, "echo\nhello\n").await;
    is_turned_away(server.address).await;
    drop(first);
    server.stop().await;
    assert_eq!(refused(&metrics, "peer_limit"), 1.0);
    assert_eq!(ended(&metrics, "done"), 1.0);

    let nobody = PeerFilter::all().deny("127.0.0.0/8").expect("a network");
    let server = start(|builder| builder.peers(nobody)).await;
    let metrics = server.handle.metrics();
    is_turned_away(server.address).await;
    let sample = "evconn_connections_refused_total{cause=\"peer_denied\"}";
    is_soon(&metrics, sample, 1.0).await;
    server.stop().await;
    assert_eq!(value(&metrics, "evconn_connections_accepted_total"), 1.0);
    assert_eq!(value(&metrics, "evconn_connections_open"), 0.0);
}

#[tokio::test]
async fn connections_beyond_the_rate_of_their_peer_are_refused() {
    let _open = unchanged();
    let limits = Limits {
        accept_rate_per_peer: NonZeroU32::new(1),
        ..Limits::default()
    };
    let server = start(|builder| builder.limits(limits)).await;
    let metrics = server.handle.metrics();
    let address = server.address;
    eventually("one is refused", async || {
        // It may be reset before it is known to be connected.
        drop(TcpStream::connect(address).await);
        refused(&metrics, "peer_rate") > 0.0
    })
    .await;
    server.stop().await;
}

#[tokio::test]
async fn a_listener_that_waits_for_a_permit_is_timed() {
    let _open = unchanged();
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = start(|builder| builder.limits(limits)).await;
    let metrics = server.handle.metrics();
    let mut first = connect(server.address).await;
    ask(&mut first, "echo\nhello\n").await;
    let mut second = connect(server.address).await;
    second.write_all(b"echo\n").await.expect("sent");
    assert_eq!(value(&metrics, "evconn_connections_accepted_total"), 1.0);
    drop(first);
    ask(&mut second, "hello\n").await;
    eventually("the wait is counted", async || {
        value(&metrics, "evconn_accept_wait_seconds_count") >= 1.0
    })
    .await;
    drop(second);
    server.stop().await;
}

#[tokio::test]
async fn the_event_loops_are_measured_while_the_server_runs() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let metrics = server.handle.metrics();
    eventually("each has been measured", async || {
        value(&metrics, "evconn_event_loop_lag_seconds_count") >= 2.0
    })
    .await;
    server.stop().await;
}
