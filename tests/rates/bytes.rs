//! `--limit-rate`: whatever way bytes go, they take their time, and all of them arrive.

use super::{LEAST, RATE, SIZE, TEST_GUEST, connect, end, gets_all_back, serve};
use crate::support::descriptors::unchanged;
use crate::support::peer::rest;
use crate::support::process::Evconn;
use crate::support::scratch::Scratch;
use crate::support::{is_reset, pattern};
use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

/// A service that sends everything back, which begins with a line to it.
fn is_shaped(component: &str, first_line: &str, flags: &[&str]) {
    let evconn = serve(component, &[&["--limit-rate", RATE], flags].concat());
    let begin = Instant::now();
    gets_all_back(connect(evconn.address()), first_line, SIZE);
    let taken = begin.elapsed();
    assert!(taken >= LEAST, "{component}: {taken:?} is too soon");
    let log = end(evconn);
    assert!(log.contains("of which 0 were refused, 0 failed"), "{log}");
}

#[test]
fn a_handler_that_splices() {
    let _open = unchanged();
    is_shaped(evconn_artifacts::ECHO_PATH, "", &[]);
}

#[test]
fn a_handler_that_copies() {
    let _open = unchanged();
    is_shaped(evconn_artifacts::ECHO_COPY_PATH, "", &[]);
}

#[test]
fn a_handler_in_one_process() {
    let _open = unchanged();
    let one = ["--processes", "0"];
    is_shaped(evconn_artifacts::ECHO_COPY_PATH, "", &one);
}

#[test]
fn a_handler_of_wasi_0_3() {
    let _open = unchanged();
    is_shaped(evconn_artifacts::ASYNC_ECHO_PATH, "", &[]);
}

#[test]
fn streams_that_the_host_moves() {
    let _open = unchanged();
    is_shaped(evconn_artifacts::ASYNC_ACTS_PATH, "hand-back\n", &[]);
    is_shaped(evconn_artifacts::ASYNC_HAND_BACK_PATH, "", &[]);
}

#[test]
fn programs() {
    let _open = unchanged();
    is_shaped(evconn_artifacts::ASYNC_ECHO_COMMAND_PATH, "", &[]);
    if let Some(program) = crate::support::wasip2::program("std-echo") {
        is_shaped(program.to_str().expect("text"), "", &[]);
    }
}

#[test]
fn a_peer_that_a_proxy_announces() {
    let _open = unchanged();
    let proxied = ["--proxy-protocol", "--proxy-from", "127.0.0.0/8"];
    let header = "PROXY TCP4 192.0.2.7 192.0.2.8 1234 5678\r\n";
    is_shaped(evconn_artifacts::ECHO_COPY_PATH, header, &proxied);
}

/// A rate of peers does not apply to it: it has no address.
#[test]
fn a_unix_socket() {
    let _open = unchanged();
    let scratch = Scratch::new();
    for (flag, least) in [
        ("--limit-rate", LEAST),
        ("--limit-rate-per-peer", Duration::ZERO),
    ] {
        let path = scratch.join("socket");
        let source = format!("unix:{}", path.display());
        let rate = if least.is_zero() { "1" } else { RATE };
        let flags = [
            "serve",
            evconn_artifacts::ECHO_COPY_PATH,
            "--listen",
            &source,
        ];
        let evconn = Evconn::start(&[&flags[..], &[flag, rate]].concat());
        evconn.line();
        let begin = Instant::now();
        let mut peer = UnixStream::connect(&path).expect("connected");
        let mut writer = peer.try_clone().expect("a descriptor");
        let writing = std::thread::spawn(move || {
            writer.write_all(&pattern(SIZE)).expect("sent");
            writer.shutdown(Shutdown::Write).expect("ended");
        });
        let mut received = Vec::new();
        peer.read_to_end(&mut received).expect("a regular end");
        writing.join().expect("sent");
        assert!(received == pattern(SIZE), "other bytes");
        assert!(begin.elapsed() >= least, "{flag}: {:?}", begin.elapsed());
        end(evconn);
    }
}

#[cfg(feature = "tls")]
#[test]
fn a_session_of_tls() {
    use crate::support::certificate::Certificate;
    use crate::support::tool::Tool;
    use std::process::{Command, Stdio};
    let _open = unchanged();
    let certificate = Certificate::new();
    let (cert, key) = (certificate.cert(), certificate.key());
    let tls = ["--tls-cert", &cert, "--tls-key", &key];
    let evconn = serve(TEST_GUEST, &[&["--limit-rate", RATE], &tls[..]].concat());
    let mut client = Command::new("openssl");
    client
        .args(["s_client", "-quiet", "-verify_return_error"])
        .args(["-servername", "localhost", "-CAfile", &cert])
        .args(["-connect", &evconn.address().to_string()])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    let begin = Instant::now();
    let Some(mut client) = Tool::start(&mut client) else {
        return;
    };
    let mut stdin = client.child().stdin.take().expect("stdin");
    let line = format!("burst {SIZE}\n");
    stdin.write_all(line.as_bytes()).expect("sent");
    let mut received = Vec::new();
    let mut stdout = client.child().stdout.take().expect("stdout");
    stdout.read_to_end(&mut received).expect("its output");
    assert_eq!(received.len(), SIZE);
    assert!(begin.elapsed() >= LEAST, "{:?}", begin.elapsed());
    drop((stdin, client));
    end(evconn);
}

/// It gets all that was written, although the rest takes longer than a connection goes on sending otherwise.
#[test]
fn what_was_written_last() {
    let _open = unchanged();
    const LAST: usize = 480 << 10;
    let evconn = serve(TEST_GUEST, &["--limit-rate", "40K"]);
    let address = evconn.address();
    let begin = Instant::now();
    let ends = ["burst", "burst-and-give-up"].map(|command| {
        let mut peer = connect(address);
        let line = format!("{command} {LAST}\n");
        peer.write_all(line.as_bytes()).expect("sent");
        std::thread::spawn(move || {
            let mut received = Vec::new();
            let end = peer.read_to_end(&mut received);
            (received.len(), end.map_err(|error| is_reset(&error)))
        })
    });
    let ends = ends.map(|end| end.join().expect("no panic"));
    assert_eq!(ends, [(LAST, Ok(LAST)), (LAST, Err(true))]);
    assert!(
        begin.elapsed() > Duration::from_secs(11),
        "{:?}",
        begin.elapsed()
    );
    end(evconn);
}

/// Pieces of a kilobyte, of which one may come each second.
#[test]
fn waiting_for_the_rate_is_not_idle() {
    let _open = unchanged();
    let flags = ["--limit-rate", "1K", "--idle-timeout", "0.2"];
    let evconn = serve(TEST_GUEST, &flags);
    let address = evconn.address();
    gets_all_back(connect(address), "echo\n", 3 << 10);
    let mut silent = connect(address);
    silent.write_all(b"echo\n").expect("sent");
    rest(&mut silent).expect_err("a reset");
    let log = end(evconn);
    assert_eq!(log.matches("no byte either way").count(), 1, "{log}");
}

/// It ends at once, whatever it waits for.
#[test]
fn a_connection_that_waits_can_be_ended() {
    let _open = unchanged();
    let flags = ["--limit-rate", "1", "--timeout", "0.3", "--grace", "600"];
    let evconn = serve(TEST_GUEST, &flags);
    let address = evconn.address();
    let mut peer = connect(address);
    peer.write_all(b"a long command that never comes\n")
        .expect("sent");
    rest(&mut peer).expect_err("a reset");
    let mut gone = connect(address);
    gone.write_all(b"another one\n").expect("sent");
    drop::<TcpStream>(gone);
    let log = end(evconn);
    assert!(log.contains("it has lasted for 300ms"), "{log}");
}
