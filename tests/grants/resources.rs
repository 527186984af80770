//! What a connection may use of the host besides memory: each limit, with a service that hoards. What was hoarded is
//! there again when it is given back, and when the connection has ended.

use super::answer;
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::scratch::Scratch;
use crate::support::{
    DEADLINE, Server, TEST_GUEST, ask, exchange, host, read_line, wait_for_close, within,
};
use evconn::sockets::Resolver;
use evconn::{DirAccess, Grants, GrantsBuilder, Limits, Service};
use futures_util::future::BoxFuture;
use std::fs;
use std::io::{self, Read};
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use tokio::io::AsyncWriteExt;
use tokio::net::TcpStream;
use tokio::sync::Semaphore;

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

async fn start(grants: GrantsBuilder, limits: Limits) -> Server {
    let grants = grants.build().expect("grants");
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let service = service.with_grants(grants);
    Server::start_service(LOCALHOST, service, limits, DEADLINE).await
}

fn descriptors(max_descriptors: usize) -> Limits {
    Limits {
        max_descriptors,
        ..Limits::default()
    }
}

/// A directory with a file.
fn directory() -> Scratch {
    let scratch = Scratch::new();
    fs::write(scratch.join("file"), vec![b'x'; 100_000]).expect("a file");
    scratch
}

fn granted(scratch: &Scratch) -> GrantsBuilder {
    Grants::builder().dir(scratch.join("."), "/data", DirAccess::ReadWrite)
}

/// A connection that hoards gets this many, again when it has given them back, and so does the next one.
async fn hoards(server: &Server, what: &str, expected: &str) {
    for _ in 0..2 {
        let mut hoarder = server.connect().await;
        for request in [format!("hoard {what}\n"), "again\n".to_owned()] {
            assert_eq!(ask(&mut hoarder, &request).await, expected, "{what}");
        }
        // Others have theirs.
        assert_eq!(answer(server, "echo\nhello").await, "hello\n");
        hoarder.write_all(b"done\n").await.expect("sent");
        wait_for_close(&mut hoarder).await;
    }
}

fn told(log: &Log, why: &str) -> usize {
    log.text().matches(why).count()
}

#[tokio::test]
async fn max_descriptors_counts_sockets() {
    let _open = unchanged();
    let server = start(Grants::builder().inherit_network(true), descriptors(16)).await;
    hoards(&server, "sockets", "15 new-socket-limit\n").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn max_descriptors_counts_connections_of_the_service() {
    let _open = unchanged();
    let upstream = std::net::TcpListener::bind((LOCALHOST, 0)).expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let server = start(Grants::builder().inherit_network(true), descriptors(8)).await;
    hoards(
        &server,
        &format!("connections {port}"),
        "7 new-socket-limit\n",
    )
    .await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn max_descriptors_counts_files_and_directories() {
    let _open = unchanged();
    let scratch = directory();
    let server = start(granted(&scratch), descriptors(16)).await;
    hoards(&server, "files /data/file", "15 insufficient-memory\n").await;
    hoards(&server, "files /data", "15 insufficient-memory\n").await;
    // The directory is open for a moment, too.
    hoards(&server, "listings /data", "14 insufficient-memory\n").await;
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn max_unsent_counts_udp_sockets_and_what_is_read_ahead_of_files() {
    let _open = unchanged();
    let scratch = directory();
    let grants = granted(&scratch).inherit_network(true);
    let limits = Limits {
        max_unsent: 256 << 10,
        ..Limits::default()
    };
    let server = start(grants, limits).await;
    hoards(&server, "udp", "2 new-socket-limit\n").await;
    hoards(&server, "streams /data/file", "64 insufficient-memory\n").await;
    server.stop().await;
}

/// Peers that do not read cost no more than the limit, and every socket may be written to.
#[tokio::test]
async fn max_unsent_counts_what_peers_do_not_read() {
    let _open = unchanged();
    let upstream = std::net::TcpListener::bind((LOCALHOST, 0)).expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let limits = Limits {
        max_unsent: 4096,
        ..Limits::default()
    };
    let server = start(Grants::builder().inherit_network(true), limits).await;
    let mut hoarder = server.connect().await;
    let found = ask(&mut hoarder, &format!("hoard unsent {port}\n")).await;
    let found: Vec<usize> = found
        .split_whitespace()
        .map(|n| n.parse().expect("a number"))
        .collect();
    let [kept, least] = found[..] else {
        panic!("{found:?}")
    };
    assert_eq!(least, 4096);
    // All of it arrives.
    hoarder.write_all(b"again\n").await.expect("sent");
    let reading = tokio::task::spawn_blocking(move || {
        let mut sizes = Vec::new();
        for _ in 0..8 {
            let (mut stream, _) = upstream.accept().expect("a connection");
            stream.set_read_timeout(Some(DEADLINE)).expect("set");
            sizes.push(io::copy(&mut stream, &mut io::sink()).expect("a regular end"));
        }
        sizes
    });
    let sizes = within("all is sent", reading).await.expect("no panic");
    assert!(sizes.iter().sum::<u64>() > kept as u64, "{sizes:?}");
    drop(hoarder);
    server.stop().await;
}

/// A service's permit is kept until its last socket is closed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_socket_that_still_sends_keeps_the_permit_of_its_connection() {
    let _open = unchanged();
    let upstream = std::net::TcpListener::bind((LOCALHOST, 0)).expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let limits = Limits {
        max_connections: 1,
        ..Limits::default()
    };
    let server = start(Grants::builder().inherit_network(true), limits).await;
    let mut first = server.connect().await;
    ask(&mut first, &format!("hoard unsent {port}\n")).await;
    let mut peers: Vec<_> = (0..8)
        .map(|_| upstream.accept().expect("a connection").0)
        .collect();
    let mut second = server.connect().await;
    second.write_all(b"echo\nhello\n").await.expect("sent");
    // Its sockets are closed, and its second round fails: nobody listens there any more.
    drop(upstream);
    first.write_all(b"again\n").await.expect("sent");
    wait_for_close(&mut first).await;
    let waits = second.try_read(&mut [0]).expect_err("nobody answers");
    assert_eq!(waits.kind(), io::ErrorKind::WouldBlock);
    let reading = tokio::task::spawn_blocking(move || {
        for peer in &mut peers {
            peer.read_to_end(&mut Vec::new()).expect("a regular end");
        }
    });
    within("all is sent", reading).await.expect("no panic");
    assert_eq!(within("an answer", read_line(&mut second)).await, "hello\n");
    drop(second);
    server.stop().await;
}

/// A resolver that answers when it is told to.
#[derive(Debug)]
struct Slow {
    calls: Arc<AtomicUsize>,
    answers: Arc<Semaphore>,
}

impl Resolver for Slow {
    fn resolve(&self, _name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        self.calls.fetch_add(1, Ordering::Relaxed);
        let answers = Arc::clone(&self.answers);
        Box::pin(async move {
            let _answer = answers.acquire().await;
            Ok(vec![LOCALHOST])
        })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_has_four_look_ups_at_a_time_even_if_it_has_gone() {
    let _open = unchanged();
    let (calls, answers) = (Arc::<AtomicUsize>::default(), Arc::new(Semaphore::new(0)));
    let slow = Slow {
        calls: Arc::clone(&calls),
        answers: Arc::clone(&answers),
    };
    let grants = Grants::builder()
        .inherit_network(true)
        .resolver(Arc::new(slow));
    let server = start(grants, Limits::default()).await;
    let mut hoarder = server.connect().await;
    let expected = "4 temporary-resolver-failure\n";
    assert_eq!(
        ask(&mut hoarder, "hoard names some.example\n").await,
        expected
    );
    // Those that it has given up are still in progress.
    let expected = "0 temporary-resolver-failure\n";
    assert_eq!(ask(&mut hoarder, "again\n").await, expected);
    let calls = || calls.load(Ordering::Relaxed);
    within("they begin", async {
        while calls() < 4 {
            tokio::task::yield_now().await;
        }
    })
    .await;
    answers.add_permits(64);
    assert_eq!(
        answer(&server, "resolve other.example").await,
        "127.0.0.1\n"
    );
    assert_eq!(calls(), 5);
    drop(hoarder);
    server.stop().await;
}

#[cfg(unix)]
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_named_pipe_is_not_opened() {
    let _open = unchanged();
    let scratch = directory();
    let pipe = scratch.join("pipe");
    let mode = rustix::fs::Mode::from_raw_mode(0o600);
    rustix::fs::mknodat(rustix::fs::CWD, &pipe, rustix::fs::FileType::Fifo, mode, 0)
        .expect("a pipe");
    std::os::unix::fs::symlink("pipe", scratch.join("link")).expect("a link");
    let server = start(granted(&scratch), Limits::default()).await;
    for path in ["pipe", "link"] {
        let opened = answer(&server, &format!("open /data/{path}")).await;
        assert_eq!(opened, "unsupported\n", "{path}");
        let written = answer(&server, &format!("write /data/{path} text")).await;
        assert_eq!(written, "unsupported\n", "{path}");
    }
    assert_eq!(
        answer(&server, "open /data/file").await,
        "DescriptorType::RegularFile\n"
    );
    assert_eq!(answer(&server, "ls /data").await, "file link pipe\n");
    server.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_directory_of_any_size_is_listed() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let mut names: Vec<_> = (0..1_000).map(|number| format!("file-{number}")).collect();
    for name in &names {
        fs::write(scratch.join(name), "").expect("a file");
    }
    names.sort();
    let server = start(granted(&scratch), Limits::default()).await;
    assert_eq!(answer(&server, "ls /data").await, names.join(" ") + "\n");
    server.stop().await;
}

const TOO_MUCH_PASSED: &str = "too much data is being copied between the host and the guest: fuel allocated for \
                               hostcalls has been exhausted";

/// A call that would take long is a trap of its connection alone.
#[tokio::test]
async fn what_a_call_may_take_is_limited() {
    let _open = unchanged();
    let log = Log::start();
    let grants = Grants::builder().inherit_network(true);
    let server = start(grants, Limits::default()).await;
    assert_eq!(answer(&server, "poll-often 1000").await, "1000\n");
    assert_eq!(
        answer(&server, "long-name 100000").await,
        "invalid-argument\n"
    );
    for request in ["poll-often 1025\n", "long-name 1100000\n"] {
        let mut victim: TcpStream = server.connect().await;
        victim.write_all(request.as_bytes()).await.expect("sent");
        wait_for_close(&mut victim).await;
    }
    assert_eq!(
        exchange(server.connect().await, b"echo\nhello\n").await,
        b"hello\n"
    );
    server.stop().await;
    for why in ["poll takes 1024 pollables at most", TOO_MUCH_PASSED] {
        assert_eq!(told(&log, why), 1, "{}", log.text());
    }
    // It is wasmtime's text, which this page explains.
    assert!(include_str!("../../docs/limits.md").contains(TOO_MUCH_PASSED));
}
