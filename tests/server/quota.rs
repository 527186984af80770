//! Servers that share a quota and accept from one socket, as those of several processes do.

use super::{Running, ended, eventually, service};
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::{DEADLINE, ask, connect, host, wait_for_close, within};
use evconn::{AcceptRate, Error, Limits, Listener, Opened, Quota, Server};
use std::collections::BTreeSet;
use std::net::SocketAddr;
use std::num::NonZeroU32;
use std::time::{Duration, Instant};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;

const MEMBERS: u16 = 2;

fn limits(max_connections: usize) -> Limits {
    Limits {
        max_connections,
        ..Limits::default()
    }
}

/// Two servers.
struct Both {
    quota: Quota,
    servers: [Running; 2],
    address: SocketAddr,
}

impl Both {
    /// Each can have `capacity` connections by itself.
    async fn start(limits: Limits, rate: Option<u32>, capacity: usize) -> Self {
        let rate = rate.and_then(NonZeroU32::new);
        let quota = Quota::create(&limits, rate, MEMBERS).expect("a quota");
        let socket = std::net::TcpListener::bind("127.0.0.1:0").expect("a socket");
        let address = socket.local_addr().expect("its address");
        let start = async |number| {
            let member = same(&quota).join(number, capacity);
            let mut builder = Listener::builder(host());
            if let Some(rate) = AcceptRate::of_quota(&member) {
                builder = builder.accept_rate(rate);
            }
            let opened = Opened::Tcp {
                listener: socket.try_clone().expect("another descriptor"),
                shared: false,
            };
            let listener = builder.listen(opened).await.expect("a listener");
            let builder = Server::builder(&service())
                .member(member)
                .listener(listener);
            Running::run(builder, |shutdown| shutdown.grace(DEADLINE)).await
        };
        Self {
            servers: [start(0).await, start(1).await],
            quota,
            address,
        }
    }

    async fn connect(&self) -> TcpStream {
        connect(self.address).await
    }

    /// Stops both, and returns how many connections they have served.
    async fn stop(self) -> u64 {
        let [one, other] = self.servers;
        let (one, other) = tokio::join!(one.stop(), other.stop());
        let all = self.quota.served();
        assert_eq!(all.connections, one.connections + other.connections);
        assert_eq!(all.refused, one.refused + other.refused);
        assert_eq!(self.quota.open_connections(), 0);
        all.connections
    }
}

/// The quota, as another process opens it.
fn same(quota: &Quota) -> Quota {
    let [memory, bell] = quota.descriptors();
    let memory = memory.try_clone_to_owned().expect("a copy");
    let bell = bell.try_clone_to_owned().expect("a copy");
    Quota::open(memory, bell).expect("the same quota")
}

async fn is_served(peer: &mut TcpStream) {
    assert_eq!(ask(peer, "echo\nhello\n").await, "hello\n");
}

#[tokio::test]
async fn the_maximum_is_that_of_both_and_each_has_its_half() {
    let _open = unchanged();
    let both = Both::start(limits(6), None, 6).await;
    let mut peers = Vec::new();
    for _ in 0..6 {
        let mut peer = both.connect().await;
        is_served(&mut peer).await;
        peers.push(peer);
    }
    let of = |member| both.quota.connections_of(member);
    assert_eq!(both.quota.open_connections(), 6);
    assert!(of(0).abs_diff(of(1)) <= 2, "{:?}", both.quota);
    assert_eq!(both.quota.idle_for(), None);
    for server in &both.servers {
        assert!(server.handle.open() <= 4);
    }
    // Another one is served when one of them ends, by whichever server.
    let mut next = both.connect().await;
    let early = tokio::time::timeout(Duration::from_millis(100), is_served(&mut next));
    early.await.expect_err("it was served");
    peers.remove(0);
    assert_eq!(ask(&mut next, "").await, "hello\n");
    drop((peers, next));
    eventually("all have ended", async || both.quota.idle_for().is_some()).await;
    assert_eq!(both.stop().await, 7);
}

/// One of them stops, and leaves the queue to the other, which waits until a permit is given back there.
#[tokio::test]
async fn what_one_gives_back_wakes_the_other() {
    let _open = unchanged();
    let both = Both::start(limits(1), None, 1).await;
    let mut first = both.connect().await;
    is_served(&mut first).await;
    let has_it = usize::from(both.quota.connections_of(0) == 0);
    let mut servers: Vec<_> = both.servers.into_iter().collect();
    let leaving = servers.remove(has_it);
    leaving.handle.leave_queues();
    drop(leaving.begin);
    within("it is stopping", leaving.handle.stopping()).await;
    let mut second = connect(both.address).await;
    let early = tokio::time::timeout(Duration::from_millis(100), is_served(&mut second));
    early.await.expect_err("it was served");
    drop(first);
    assert_eq!(ask(&mut second, "").await, "hello\n");
    assert_eq!(ended(leaving.task).await.connections, 1);
    drop(second);
    let other = servers.remove(0);
    assert_eq!(other.stop().await.connections, 1);
    assert_eq!(both.quota.served().connections, 2);
}

#[tokio::test]
async fn a_peer_has_so_many_connections_at_both() {
    let _open = unchanged();
    let log = Log::start();
    let limits = Limits {
        max_connections_per_peer: Some(3),
        ..limits(10)
    };
    let both = Both::start(limits, None, 10).await;
    let mut peers = Vec::new();
    for _ in 0..3 {
        let mut peer = both.connect().await;
        is_served(&mut peer).await;
        peers.push(peer);
    }
    for _ in 0..4 {
        is_refused(both.address).await;
    }
    peers.clear();
    eventually("all have ended", async || {
        both.quota.open_connections() == 0
    })
    .await;
    for _ in 0..3 {
        let mut peer = both.connect().await;
        is_served(&mut peer).await;
        peers.push(peer);
    }
    is_refused(both.address).await;
    drop(peers);
    eventually("all have ended", async || {
        both.quota.open_connections() == 0
    })
    .await;
    for _ in 0..5 {
        let mut peer = both.connect().await;
        peer.write_all(b"error it fails\n").await.expect("sent");
        wait_for_close(&mut peer).await;
    }
    assert_eq!(both.quota.served().refused, 5);
    assert_eq!(both.stop().await, 16);
    // No two connections have the same number, whichever server they are of.
    let lines = log.lines();
    let failed = lines.iter().filter(|line| line.contains("it fails"));
    let numbers: BTreeSet<u64> = failed.filter_map(|line| number(line)).collect();
    assert_eq!(numbers.len(), 5, "{lines:#?}");
    assert!(numbers.iter().all(|number| (12..=16).contains(number)));
    // At both, there is one line each second.
    assert!(lines.iter().any(|line| line.contains("its peer has 3")));
}

/// The reset may come before the connection is known to be there.
async fn is_refused(address: SocketAddr) {
    if let Ok(mut peer) = TcpStream::connect(address).await {
        wait_for_close(&mut peer).await;
    }
}

/// The number of the connection that a line of the log is about.
fn number(line: &str) -> Option<u64> {
    let (_, rest) = line.split_once("number=")?;
    rest.split_whitespace().next()?.parse().ok()
}

#[tokio::test]
async fn the_rate_is_that_of_both() {
    let _open = unchanged();
    let both = Both::start(limits(100), Some(10), 100).await;
    let begin = Instant::now();
    for _ in 0..14 {
        is_served(&mut both.connect().await).await;
    }
    // 10 at once, and then one each 100 ms.
    let passed = begin.elapsed();
    assert!(passed >= Duration::from_millis(390), "{passed:?}");
    assert_eq!(both.stop().await, 14);
}

/// The one that is full goes on when one of its own ends. The other one is not affected.
#[tokio::test]
async fn no_member_has_more_than_its_capacity() {
    let _open = unchanged();
    let quota = Quota::create(&limits(10), None, MEMBERS).expect("a quota");
    let small = Running::start(|builder| builder.member(quota.join(0, 1))).await;
    let mut first = small.connect().await;
    is_served(&mut first).await;
    let mut second = small.connect().await;
    let early = tokio::time::timeout(Duration::from_millis(100), is_served(&mut second));
    early.await.expect_err("it was served");
    let large = Running::start(|builder| builder.member(quota.join(1, 9))).await;
    let mut others = Vec::new();
    for _ in 0..9 {
        let mut peer = large.connect().await;
        is_served(&mut peer).await;
        others.push(peer);
    }
    assert_eq!(quota.open_connections(), 10);
    drop(first);
    assert_eq!(ask(&mut second, "").await, "hello\n");
    drop((second, others));
    tokio::join!(small.stop(), large.stop());
}

#[tokio::test]
async fn the_host_needs_room_for_the_connections_of_its_own_process_only() {
    let _open = unchanged();
    let capacity = host().max_connections();
    let quota = Quota::create(&limits(10 * capacity), None, MEMBERS).expect("a quota");
    let bind = async |number, capacity| {
        let server = Server::builder(&service()).listen("127.0.0.1:0".parse().expect("a source"));
        let server = server
            .limits(limits(usize::MAX))
            .member(quota.join(number, capacity));
        server.bind().await
    };
    let server = bind(0, capacity).await.expect("it can have as many");
    server
        .handle()
        .reload(&service())
        .expect("the same service");
    match bind(1, capacity + 1).await {
        Err(Error::TooManyConnections {
            asked,
            capacity: most,
        }) => {
            assert_eq!((asked, most), (capacity + 1, capacity));
        }
        Err(error) => panic!("{error}"),
        Ok(_) => panic!("more than the host can serve"),
    }
}
