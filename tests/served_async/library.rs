//! Services by the guest library's module `p3`.

use super::{Site, gets_all_back, unchanged};
use crate::support::peer::{connect, reset, rest};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpStream};

const LIBRARY: &str = evconn_artifacts::ASYNC_LIB_PATH;

fn start() -> Site {
    Site::of(LIBRARY, &["--processes", "1"])
}

/// More than fits into all buffers.
const MUCH: usize = 4 << 20;

#[test]
fn what_is_read_is_what_was_sent() {
    let _open = unchanged();
    let site = start();
    for act in ["echo", "spawn-echo"] {
        gets_all_back(site.act(act), MUCH);
    }
    assert!(site.end().contains("0 failed"));
}

#[test]
fn what_was_written_is_sent_however_its_function_ends() {
    let _open = unchanged();
    let site = start();
    for (act, count) in [("write", MUCH), ("write-bytes", 1_000)] {
        let text = site.all_of(&format!("{act} {count}"));
        let expected = (b'a'..=b'z').cycle().take(count);
        assert!(text.bytes().eq(expected), "{act}");
    }
    assert_eq!(site.until_reset("write-and-fail"), "some of it\n");
    assert!(
        site.end()
            .contains("the service gave up: \"it has failed\"")
    );
}

#[test]
fn an_error_is_in_the_log() {
    let _open = unchanged();
    let site = start();
    assert_eq!(site.until_reset("fail no luck"), "");
    assert!(site.end().contains("the service gave up: \"no luck\""));
}

#[test]
fn a_service_is_told_of_its_connection() {
    let _open = unchanged();
    let site = start();
    let mut peer = site.act("addresses");
    let expected = format!(
        "{} {}\n",
        peer.local_addr().expect("its address"),
        site.address
    );
    assert_eq!(rest(&mut peer).expect("a regular end"), expected);
    assert_eq!(site.all_of("number"), "2\n");
    assert_eq!(site.all_of("tls"), "none\n");
    assert_eq!(site.all_of("sleep 20"), "awake\n");
    site.end();
}

#[test]
fn a_side_that_is_closed_can_still_receive() {
    let _open = unchanged();
    let site = start();
    let mut peer = site.act("close");
    assert_eq!(rest(&mut peer).expect("a regular end"), "closed\n");
    peer.write_all(b"the rest").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    site.evconn.logged("connection's stdout: \"the rest\"");
    drop(peer);
    site.end();
}

#[test]
fn a_reader_ends_when_its_peer_does() {
    let _open = unchanged();
    let site = start();
    let mut peer = site.act("how-it-ends");
    peer.read_exact(&mut [0; 8]).expect("it has begun");
    peer.write_all(b"abc").expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    site.evconn.logged("after 3 bytes");
    site.end();
}

/// A task that waits for another connection's is woken by it.
#[test]
fn peers_chat_that_share_an_instance() {
    let _open = unchanged();
    let flags = ["--instances", "1", "--concurrency", "10"];
    let site = Site::of(evconn_artifacts::ASYNC_CHAT_PATH, &flags);
    let [mut ada, mut grace] = [(); 2].map(|()| BufReader::new(connect(site.address)));
    assert_eq!(heard(&mut ada), "* you are with 0 others\n");
    assert_eq!(heard(&mut grace), "* you are with 1 others\n");
    assert_eq!(heard(&mut ada), "* 2 is here\n");
    grace.get_mut().write_all(b"hello\n").expect("sent");
    assert_eq!(heard(&mut ada), "2: hello\n");
    reset(grace.into_inner());
    assert_eq!(heard(&mut ada), "* 2 has left\n");
    let mut ada = ada.into_inner();
    ada.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut ada).expect("a regular end"), "");
    site.end();
}

fn heard(peer: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    peer.read_line(&mut line).expect("a line");
    line
}

/// The host ends whoever reads from it or writes to it.
#[test]
fn a_peer_that_resets_is_no_matter_to_others() {
    let _open = unchanged();
    let site = start();
    for act in ["until-nobody-reads", "how-it-ends"] {
        let mut peer = site.act(act);
        peer.read_exact(&mut [0; 8]).expect("it has begun");
        reset(peer);
        site.is_served();
    }
    let log = site.end();
    assert!(log.contains(" 0 failed"), "{log}");
}

impl Site {
    fn is_served(&self) {
        let mut peer = connect(self.address);
        peer.write_all(b"number\n").expect("sent");
        assert!(rest(&mut peer).expect("a regular end").ends_with('\n'));
    }
}

/// A component that has sockets of both versions of WASI: all of them go by the same grants.
#[test]
fn sockets_of_both_versions_have_the_same_grants() {
    let _open = unchanged();
    let server = start();
    let to = server.address.to_string();
    let act = format!("connect-twice {to}");
    for (flags, told) in [
        (
            &["--allow-connect", &*to][..],
            "0.2 connected, 0.3 connected\n",
        ),
        (&[], "0.2 denied, 0.3 denied\n"),
    ] {
        let site = Site::of(LIBRARY, &[&["--processes", "1"], flags].concat());
        assert_eq!(site.all_of(&act), told);
        assert!(site.end().contains("0 failed"));
    }
    server.end();
}
