//! Handlers that only decide: they return streams of the host's own, which moves the bytes without their instance.

use super::{ACTS, Site, unchanged};
use crate::support::peer::{ask, connect, reset, rest};
use crate::support::{DEADLINE, eventually, pattern};
use rustix::process::Signal;
use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

/// More than the buffers of both ends take.
const MUCH: usize = 4 << 20;

/// What is logged when an instance is given up.
const GIVEN_UP: &str = "connection continues without its instance";

fn debugging(flags: &[&str]) -> Site {
    Site::logging(ACTS, &[&["--processes", "1"], flags].concat(), "debug")
}

/// How many instances were given up.
fn given_up(site: &Site) -> usize {
    site.evconn.log_so_far().matches(GIVEN_UP).count()
}

fn is_given_up(site: &Site, count: usize) {
    eventually("the instance is given up", || {
        (given_up(site) >= count).then_some(())
    });
}

/// A server behind the one that forwards.
struct Upstream(TcpListener);

impl Upstream {
    fn new() -> Self {
        Self(TcpListener::bind("127.0.0.1:0").expect("a listener"))
    }

    fn address(&self) -> String {
        self.0.local_addr().expect("its address").to_string()
    }

    /// Serves with handlers that may connect to it.
    fn behind(&self, flags: &[&str]) -> Site {
        debugging(&[&["--allow-connect", &self.address()], flags].concat())
    }

    fn accept(&self) -> TcpStream {
        let (stream, _) = self.0.accept().expect("accepted");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    /// Begins to forward, with the instance given up. Returns both ends.
    fn forwarded(&self, site: &Site, act: &str) -> (TcpStream, TcpStream) {
        let before = given_up(site);
        let peer = site.act(&format!("{act} {}", self.address()));
        let server = self.accept();
        is_given_up(site, before + 1);
        (peer, server)
    }
}

fn is_reset(mut peer: TcpStream) {
    let error = peer.read_to_end(&mut Vec::new()).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
}

fn ends(peer: &mut TcpStream) {
    assert_eq!(rest(peer).expect("a regular end"), "");
}

/// Sends much at one end, which comes out at the other.
fn passes(from: &TcpStream, to: &mut TcpStream) {
    let sent = pattern(MUCH);
    let mut writer = from.try_clone().expect("a descriptor");
    let writing = std::thread::spawn(move || {
        writer.write_all(&sent).expect("sent");
        sent
    });
    let mut received = vec![0; MUCH];
    to.read_exact(&mut received).expect("received");
    assert!(writing.join().expect("sent") == received, "other bytes");
}

#[test]
fn an_instance_is_given_up_when_its_streams_are_handed_back() {
    let _open = unchanged();
    let site = debugging(&[]);
    for (index, act) in ["hand-back", "hand-back-with-own-end", "hand-back-and-look"]
        .into_iter()
        .enumerate()
    {
        let mut peer = site.act(act);
        is_given_up(&site, index + 1);
        ask(&mut peer, "hello", "hello");
        peer.shutdown(Shutdown::Write).expect("ended");
        ends(&mut peer);
    }
    let log = site.end();
    assert!(log.contains(" 0 failed"), "{log}");
}

/// What the guest has under way keeps the instance: a timer, and a task that never ends.
#[test]
fn a_task_that_goes_on_keeps_the_instance() {
    let _open = unchanged();
    let site = debugging(&[]);
    let mut for_ever = site.act("hand-back-for-ever");
    ask(&mut for_ever, "hello", "hello");
    let mut waiting = site.act("hand-back-and-wait 100");
    ask(&mut waiting, "hello", "hello");
    is_given_up(&site, 1);
    site.evconn.logged("the timer is over");
    ask(&mut waiting, "again", "again");
    ask(&mut for_ever, "again", "again");
    for_ever.shutdown(Shutdown::Write).expect("ended");
    ends(&mut for_ever);
    drop((waiting, for_ever));
    assert_eq!(given_up(&site), 1);
    site.evconn.signal(Signal::TERM);
    site.evconn.signal(Signal::TERM);
    site.evconn.wait();
}

/// The future that the handler has returned decides, not the one that it was given and has kept.
#[test]
fn another_future_is_not_mistaken_for_the_host_s() {
    let _open = unchanged();
    let site = debugging(&[]);
    for when in ["now", "awaited"] {
        let mut peer = site.act(&format!("hand-back-but-fail {when}"));
        if when == "awaited" {
            ask(&mut peer, "hello", "hello");
            peer.shutdown(Shutdown::Write).expect("ended");
        }
        is_reset(peer);
    }
    let log = site.end();
    assert_eq!(log.matches("it is its own future").count(), 2, "{log}");
}

#[test]
fn what_another_connection_receives_is_moved_without_the_instance() {
    let _open = unchanged();
    let upstream = Upstream::new();
    let site = upstream.behind(&[]);
    for act in ["forward", "forward-sent"] {
        let (mut peer, mut server) = upstream.forwarded(&site, act);
        passes(&peer, &mut server);
        passes(&server, &mut peer);
        // The peer ends first, and the server goes on.
        peer.shutdown(Shutdown::Write).expect("ended");
        ends(&mut server);
        passes(&server, &mut peer);
        drop(server);
        ends(&mut peer);
    }
    let log = site.end();
    assert!(log.contains(" 0 failed"), "{log}");
}

#[test]
fn a_server_may_end_before_its_peer() {
    let _open = unchanged();
    let upstream = Upstream::new();
    let site = upstream.behind(&[]);
    for act in ["forward", "forward-and-keep"] {
        let mut peer = site.act(&format!("{act} {}", upstream.address()));
        let mut server = upstream.accept();
        server.write_all(b"hello").expect("sent");
        server.shutdown(Shutdown::Write).expect("ended");
        assert_eq!(rest(&mut peer).expect("a regular end"), "hello");
        passes(&peer, &mut server);
        peer.shutdown(Shutdown::Write).expect("ended");
        ends(&mut server);
    }
    site.evconn.logged("sent: Ok(())");
    let log = site.end();
    assert!(log.contains(" 0 failed"), "{log}");
}

#[test]
fn a_reset_is_passed_on() {
    let _open = unchanged();
    let upstream = Upstream::new();
    let site = upstream.behind(&[]);
    let (peer, server) = upstream.forwarded(&site, "forward");
    reset(peer);
    is_reset(server);
    let (peer, server) = upstream.forwarded(&site, "forward");
    reset(server);
    is_reset(peer);
    site.evconn
        .logged("the service gave up: \"connection-reset\"");
    site.end();
}

#[test]
fn timeouts_end_both_connections() {
    let _open = unchanged();
    let upstream = Upstream::new();
    for (flag, said) in [
        ("--idle-timeout", "no byte either way"),
        ("--timeout", "it has lasted for"),
    ] {
        let site = upstream.behind(&[flag, "0.5"]);
        let (peer, server) = upstream.forwarded(&site, "forward");
        is_reset(peer);
        is_reset(server);
        let log = site.end();
        assert!(log.contains(said), "{log}");
    }
}

/// What the other end does not take stays with who sends it.
#[test]
fn a_peer_that_stops_reading_stops_the_server() {
    let _open = unchanged();
    let upstream = Upstream::new();
    let site = upstream.behind(&["--idle-timeout", "0.5"]);
    let (peer, mut server) = upstream.forwarded(&site, "forward");
    let mut sent = 0;
    let end = loop {
        match server.write(&[b'x'; 64 << 10]) {
            Ok(count) => sent += count,
            Err(error) => break error,
        }
    };
    assert!(sent < 64 << 20, "{sent} bytes");
    let kind = end.kind();
    let kinds = [ErrorKind::ConnectionReset, ErrorKind::BrokenPipe];
    assert!(kinds.contains(&kind), "{end}");
    drop(peer);
    let log = site.end();
    assert!(log.contains("no byte either way"), "{log}");
}

#[test]
fn a_drain_waits_for_connections_without_an_instance() {
    let _open = unchanged();
    let upstream = Upstream::new();
    let site = upstream.behind(&[]);
    let (mut peer, mut server) = upstream.forwarded(&site, "forward");
    site.evconn.signal(Signal::TERM);
    site.evconn.logged("ending: open connections");
    ask(&mut peer, "", "");
    passes(&peer, &mut server);
    passes(&server, &mut peer);
    peer.shutdown(Shutdown::Write).expect("ended");
    ends(&mut server);
    drop(server);
    ends(&mut peer);
    assert_eq!(site.evconn.wait().status.code(), Some(0));
}

/// What else reads a stream of the host's, here the log, keeps the instance.
#[test]
fn a_stream_that_somebody_else_reads_keeps_the_instance() {
    let _open = unchanged();
    let upstream = Upstream::new();
    let site = upstream.behind(&[]);
    let mut peer = site.act(&format!("tee {}", upstream.address()));
    let mut server = upstream.accept();
    server.write_all(b"hello").expect("sent");
    peer.read_exact(&mut [0; 5]).expect("received");
    peer.write_all(b"this is printed\n").expect("sent");
    site.evconn.logged("this is printed");
    assert_eq!(given_up(&site), 0);
    peer.shutdown(Shutdown::Write).expect("ended");
    drop(server);
    ends(&mut peer);
    site.end();
}

/// A connection of an instance with several is given up at once, whatever the others do.
#[test]
fn an_instance_with_several_connections_gives_them_up_at_once() {
    let _open = unchanged();
    let upstream = Upstream::new();
    let site = upstream.behind(&["--instances", "1", "--concurrency", "10"]);
    let mut other = site.act("echo");
    ask(&mut other, "hello", "hello");
    let (mut peer, mut server) = upstream.forwarded(&site, "forward");
    let mut back = site.act("hand-back-for-ever");
    is_given_up(&site, 2);
    // Its instance fails, which is no matter of theirs any more.
    assert_eq!(site.until_reset("trap-later"), "");
    is_reset(other);
    ask(&mut back, "hello", "hello");
    passes(&peer, &mut server);
    passes(&server, &mut peer);
    peer.shutdown(Shutdown::Write).expect("ended");
    ends(&mut server);
    drop(server);
    ends(&mut peer);
    back.shutdown(Shutdown::Write).expect("ended");
    ends(&mut back);
    let log = site.end();
    assert!(log.contains("its instance had 2 connections"), "{log}");
}

/// With one instance for one connection at a time, many are served at once.
#[test]
fn those_without_an_instance_leave_it_to_others() {
    const MANY: usize = 50;
    let _open = unchanged();
    for flags in [
        &["--instances", "1"][..],
        &["--instances", "1", "--reuse", "1"],
        &["--instances", "2", "--concurrency", "2", "--processes", "2"],
        &["--instances", "1", "--processes", "0"],
    ] {
        let site = Site::of(ACTS, &[&["--max-connections", "100"], flags].concat());
        let mut peers: Vec<_> = (0..MANY).map(|_| site.act("hand-back")).collect();
        for peer in &mut peers {
            ask(peer, "hello", "hello");
        }
        for peer in &mut peers {
            peer.shutdown(Shutdown::Write).expect("ended");
            ends(peer);
        }
        let log = site.end();
        assert!(log.contains(" 0 failed"), "{log}");
    }
}

/// A peer that sends through TLS, and a server that gets plain bytes.
#[cfg(feature = "tls")]
#[test]
fn bytes_of_a_tls_session_are_moved_without_the_instance() {
    use crate::support::certificate::Certificate;
    use crate::support::tool::Tool;
    use std::process::{Command, Stdio};
    let _open = unchanged();
    let certificate = Certificate::new();
    let (cert, key) = (certificate.cert(), certificate.key());
    let upstream = Upstream::new();
    let site = upstream.behind(&["--tls-cert", &cert, "--tls-key", &key]);
    let mut client = Command::new("openssl");
    client
        .args(["s_client", "-quiet", "-verify_return_error"])
        .args(["-servername", "localhost", "-CAfile", &cert])
        .args(["-connect", &site.address.to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let Some(mut client) = Tool::start(&mut client) else {
        return;
    };
    let mut stdin = client.child().stdin.take().expect("stdin");
    let act = format!("forward {}\nhello", upstream.address());
    stdin.write_all(act.as_bytes()).expect("sent");
    let mut server = upstream.accept();
    let mut received = [0; 5];
    server.read_exact(&mut received).expect("received");
    assert_eq!(&received, b"hello");
    is_given_up(&site, 1);
    let sent = pattern(MUCH);
    server.write_all(&sent[..1]).expect("sent");
    let writing = std::thread::spawn(move || {
        server.write_all(&sent[1..]).expect("sent");
        drop(server);
        sent
    });
    let mut told = Vec::new();
    let stdout = client.child().stdout.take().expect("stdout");
    { stdout }.read_to_end(&mut told).expect("received");
    assert!(writing.join().expect("sent") == told, "other bytes");
    drop(stdin);
    drop(client);
    drop(connect(site.address));
    site.end();
}

/// The library tells how many instances there are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_counts_its_instances() {
    use crate::server::Running;
    use evconn::{Host, Server, Service, WasiVersion};
    let _open = unchanged();
    let host = Host::builder().max_connections(10).wasi(WasiVersion::V0_3);
    let host = host.build().expect("a host");
    let service = Service::new(&host, evconn_artifacts::ASYNC_ACTS).expect("a service");
    let builder = Server::builder(&service).listen("127.0.0.1:0".parse().expect("a source"));
    let server = Running::run(builder, |shutdown| shutdown.grace(DEADLINE)).await;
    let (handle, address) = (server.handle.clone(), server.address);
    let serving = tokio::task::spawn_blocking(move || {
        let has = |count| {
            eventually("there are as many instances", || {
                (handle.instances() == count).then_some(())
            });
        };
        let mut peers = Vec::new();
        for (act, instances) in [("echo", 1), ("hand-back", 1), ("echo", 2)] {
            let mut peer = connect(address);
            ask(&mut peer, &format!("{act}\nhello"), "hello");
            has(instances);
            peers.push(peer);
        }
        drop(peers);
        has(0);
    });
    serving.await.expect("no panic");
    server.stop().await;
}
