//! What a program is told of its sockets: it binds what it likes, and the connection came in where it did.

use super::{acting, acts, end, lines, serve_file};
use crate::support::descriptors::unchanged;
use crate::support::has_ipv6;
use crate::support::peer::{ask, connect};
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use std::io::{BufRead, BufReader, Write};
use std::net::{Shutdown, SocketAddr};
use std::os::unix::net::UnixStream;

const QUESTIONS: &str = "listener\nlocal\npeer\n";

/// Answers to [`QUESTIONS`], and the peer's own address.
fn told(address: SocketAddr) -> (Vec<String>, SocketAddr) {
    let mut stream = connect(address);
    let own = stream.local_addr().expect("an address");
    stream.write_all(QUESTIONS.as_bytes()).expect("sent");
    stream.shutdown(Shutdown::Write).expect("ended");
    let lines = BufReader::new(stream).lines();
    (lines.collect::<Result<_, _>>().expect("an end"), own)
}

#[test]
fn a_connection_came_in_where_it_did() {
    let _open = unchanged();
    for bound in ["0.0.0.0:7000", "127.0.0.1:80", "192.0.2.1:22"] {
        let Some(evconn) = acting(&["serve", bound], &[]) else {
            return;
        };
        let address = evconn.address();
        let (lines, own) = told(address);
        let expected = [
            bound.to_owned(),
            address.to_string(),
            format!("{own} {own}"),
        ];
        assert_eq!(lines, expected);
        end(evconn);
    }
}

#[test]
fn an_ephemeral_port_is_one() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve", "127.0.0.1:0"], &[]) else {
        return;
    };
    let (lines, _) = told(evconn.address());
    let listener: SocketAddr = lines[0].parse().expect("an address");
    assert!(
        listener.ip().is_loopback() && listener.port() != 0,
        "{listener}"
    );
    end(evconn);
}

#[test]
fn what_the_other_family_cannot_say_is_loopback() {
    let _open = unchanged();
    if !has_ipv6() {
        return;
    }
    let Some(evconn) = acting(&["serve", "[::]:7000"], &[]) else {
        return;
    };
    let (lines, own) = told(evconn.address());
    let peer = format!("[::1]:{port} [::1]:{port}", port = own.port());
    assert_eq!(
        lines,
        ["[::]:7000".to_owned(), "[::1]:7000".to_owned(), peer]
    );
    end(evconn);
}

#[test]
fn a_unix_socket_is_loopback() {
    let _open = unchanged();
    let Some(path) = acts() else {
        return;
    };
    let scratch = Scratch::new();
    let socket = scratch.join("app.sock");
    let source = format!("unix:{}", socket.display());
    let evconn = Evconn::start(&["serve", path.to_str().expect("text"), "--listen", &source]);
    evconn.listening_on();
    let mut peer = UnixStream::connect(&socket).expect("connected");
    peer.write_all(QUESTIONS.as_bytes()).expect("sent");
    peer.shutdown(Shutdown::Write).expect("ended");
    let lines: Result<Vec<_>, _> = BufReader::new(peer).lines().collect();
    assert_eq!(
        lines.expect("an end"),
        ["0.0.0.0:7000", "127.0.0.1:7000", "127.0.0.1:0 127.0.0.1:0"]
    );
    end(evconn);
}

#[test]
fn an_address_that_it_listens_on_is_in_use() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &[]) else {
        return;
    };
    let answers = lines(evconn.address(), "again\n");
    assert_eq!(answers.expect("an end"), ["AddrInUse"]);
    end(evconn);
}

/// A worker has a socket more for the connection, and none for what the program listens on.
#[cfg(target_os = "linux")]
#[test]
fn listening_opens_no_socket() {
    use crate::support::workers::{wait_for_workers, worker_with};
    let _open = unchanged();
    let Some(path) = acts() else {
        return;
    };
    let evconn = serve_file(path.to_str().expect("text"), &["--processes", "1"]);
    let address = evconn.address();
    let worker = &wait_for_workers(&evconn, 1)[0];
    let mut first = connect(address);
    ask(&mut first, "listener\n", "0.0.0.0:7000\n");
    let before = worker.sockets();
    let mut second = connect(address);
    ask(&mut second, "listener\n", "0.0.0.0:7000\n");
    worker_with(&evconn, &second);
    assert_eq!(worker.sockets(), before + 1);
    drop((first, second));
    end(evconn);
}

/// The options of a listening socket are those of its connections.
#[test]
fn options_hold_for_the_connection() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &[]) else {
        return;
    };
    assert_eq!(lines(evconn.address(), "ttl\n").expect("an end"), ["33"]);
    end(evconn);
}

/// Without a grant: nobody else takes part in that. The connection that waits meanwhile is not taken for its own.
#[test]
fn it_may_connect_to_itself() {
    let _open = unchanged();
    let Some(evconn) = acting(&["itself"], &[]) else {
        return;
    };
    let answers = lines(evconn.address(), "itself\nserved\nitself\n");
    assert_eq!(answers.expect("an end"), ["itself", "1", "itself"]);
    let log = end(evconn);
    assert!(log.contains("connection's stdout: \"itself\""), "{log}");
}

/// A program that listens on two ports gets the connections of a source on the one that the source names.
#[test]
fn a_source_may_be_for_a_port() {
    let _open = unchanged();
    let Some(path) = acts() else {
        return;
    };
    let path = path.to_str().expect("text");
    let act = ["--arg", "program", "--arg", "second"];
    for processes in ["0", "1"] {
        let sources = ["--listen", "7001=127.0.0.1:0", "--processes", processes];
        let evconn = Evconn::start(&[&["serve", path], &act[..], &sources].concat());
        let answers = lines(evconn.address(), "listener\nserved\n");
        assert_eq!(answers.expect("an end"), ["0.0.0.0:7001", "1"]);
        end(evconn);
    }
}

#[test]
fn a_port_is_nothing_to_a_handler() {
    let _open = unchanged();
    let greet = evconn_artifacts::GREET_PATH;
    let evconn = Evconn::start(&["serve", greet, "--listen", "80=127.0.0.1:0"]);
    assert_eq!(lines(evconn.address(), "you\n").expect("an end").len(), 2);
    let log = end(evconn);
    let said = "a port in front of a listen source has no effect";
    assert!(log.contains(said), "{log}");
}

/// Programs listen on it, and wasi-libc's `getaddrinfo` without a name looks it up. Nothing else may be.
#[test]
fn localhost_is_no_lookup() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve", "localhost:7000"], &[]) else {
        return;
    };
    let request = "listener\nresolve localhost\nresolve LocalHost.\nresolve localhost.example\n";
    let answers = lines(evconn.address(), request).expect("an end");
    let both = "127.0.0.1 ::1";
    assert_eq!(answers, ["127.0.0.1:7000", both, both, "unresolvable"]);
    let log = end(evconn);
    assert!(log.contains("may not look localhost.example up"), "{log}");
}
