//! What holds for every service holds for programs.

use super::{acting, acts, echoing, end, lines};
use crate::support::descriptors::unchanged;
use crate::support::manager::Manager;
use crate::support::peer::{ask, connect, rest};
use crate::support::process::Evconn;
use crate::support::scratch::{Scratch, install};
use evconn::guests;
use rustix::process::Signal;
use std::io::{ErrorKind, Write};
use std::net::Shutdown;

#[test]
fn open_connections_finish_when_the_server_ends() {
    let _open = unchanged();
    let Some(evconn) = echoing(&["--grace", "600"]) else {
        return;
    };
    let mut peer = connect(evconn.address());
    ask(&mut peer, "hello\n", "hello\n");
    evconn.signal(Signal::TERM);
    evconn.logged("have 600s to finish");
    ask(&mut peer, "still here\n", "still here\n");
    peer.shutdown(Shutdown::Write).expect("ended");
    assert_eq!(rest(&mut peer).expect("a regular end"), "");
    let ended = evconn.wait();
    assert_eq!(ended.status.code(), Some(0), "{}", ended.stderr);
}

#[test]
fn what_does_not_finish_in_time_is_reset() {
    let _open = unchanged();
    let Some(evconn) = echoing(&["--grace", "0.1"]) else {
        return;
    };
    let mut peer = connect(evconn.address());
    ask(&mut peer, "hello\n", "hello\n");
    evconn.signal(Signal::TERM);
    let error = rest(&mut peer).expect_err("a reset");
    assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    assert_eq!(evconn.wait().status.code(), Some(1));
}

/// Its connection is closed: the server does not count what it does until then as a connection that it has reset.
#[test]
fn a_program_that_goes_on_without_its_connection_ends_with_the_grace() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &["--grace", "0.1"]) else {
        return;
    };
    assert_eq!(
        lines(evconn.address(), "close-and-sleep\n").expect("an end"),
        [""; 0]
    );
    let log = end(evconn);
    assert!(log.contains("0 were ended by the shutdown"), "{log}");
}

/// A program in the place of a handler, and the other way round.
#[test]
fn a_reload_takes_effect_for_new_connections() {
    let _open = unchanged();
    let Some(path) = acts() else {
        return;
    };
    let scratch = Scratch::new();
    let app = scratch.join("app.wasm");
    std::fs::copy(&path, &app).expect("copied");
    let manager = Manager::new();
    let evconn = manager.start(app.to_str().expect("text"), &["--grace", "600"]);
    assert_eq!(manager.hear(), ["READY=1"]);
    let address = evconn.address();
    let mut old = connect(address);
    ask(&mut old, "served\n", "1\n");
    for (content, answer) in [
        (guests::ECHO, "served"),
        (&std::fs::read(&path).expect("read"), "1"),
    ] {
        install(content, &app);
        evconn.signal(Signal::HUP);
        manager.hear_of_reload();
        assert_eq!(lines(address, "served\n").expect("an end"), [answer]);
    }
    ask(&mut old, "served\n", "1\n");
    drop(old);
    end(evconn);
}

#[test]
fn a_precompiled_program_is_served() {
    let _open = unchanged();
    let scratch = Scratch::new();
    let code = scratch.join("app.cwasm");
    let code = code.to_str().expect("text");
    for app in [acts(), Some(evconn_artifacts::ECHO_COMMAND_PATH.into())] {
        let Some(app) = app else { continue };
        let compiled = Evconn::run(&["compile", app.to_str().expect("text"), "--output", code]);
        assert_eq!(compiled.status.code(), Some(0), "{}", compiled.stderr);
        let evconn = super::serve_file(code, &["--allow-precompiled"]);
        assert_eq!(
            lines(evconn.address(), "hello\n").expect("an end"),
            ["hello"]
        );
        end(evconn);
    }
}

#[test]
fn one_process_serves_programs_too() {
    let _open = unchanged();
    let Some(evconn) = echoing(&["--processes", "0"]) else {
        return;
    };
    assert_eq!(
        lines(evconn.address(), "hello\n").expect("an end"),
        ["hello"]
    );
    end(evconn);
}

/// The peer is the one that the proxy announces.
#[test]
fn a_proxy_announces_its_peer() {
    let _open = unchanged();
    let flags = ["--proxy-protocol", "--proxy-from", "127.0.0.1"];
    let Some(evconn) = acting(&["serve"], &flags) else {
        return;
    };
    let header = "PROXY TCP4 192.0.2.7 192.0.2.1 5555 80\r\npeer\n";
    assert_eq!(
        lines(evconn.address(), header).expect("an end"),
        ["192.0.2.7:5555 192.0.2.7:5555"]
    );
    end(evconn);
}

#[cfg(feature = "tls")]
#[test]
fn tls_is_the_servers() {
    use crate::support::certificate::Certificate;
    use crate::support::tool::Tool;
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};
    let _open = unchanged();
    let certificate = Certificate::new();
    let (cert, key) = (certificate.cert(), certificate.key());
    let Some(evconn) = echoing(&["--tls-cert", &cert, "--tls-key", &key]) else {
        return;
    };
    let mut client = Command::new("openssl");
    client
        .args(["s_client", "-quiet", "-no_ign_eof", "-verify_return_error"])
        .args(["-servername", "localhost", "-verify_hostname", "localhost"])
        .args(["-CAfile", &cert])
        .args(["-connect", &evconn.address().to_string()]);
    client
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null());
    if let Some(mut client) = Tool::start(&mut client) {
        let mut stdin = client.child().stdin.take().expect("stdin");
        let stdout = client.child().stdout.take().expect("stdout");
        stdin.write_all(b"hello\n").expect("sent");
        let mut line = String::new();
        let read = BufReader::new(stdout).read_line(&mut line);
        read.expect("a line");
        assert_eq!(line, "hello\n");
    }
    end(evconn);
}

#[test]
fn limits_are_those_of_every_service() {
    let _open = unchanged();
    let flags = ["--max-connections", "2", "--processes", "1"];
    let Some(evconn) = acting(&["serve"], &flags) else {
        return;
    };
    let address = evconn.address();
    let mut open: Vec<_> = (0..2).map(|_| connect(address)).collect();
    for peer in &mut open {
        ask(peer, "served\n", "1\n");
    }
    let mut third = connect(address);
    third.write_all(b"served\n").expect("sent");
    third.shutdown(Shutdown::Write).expect("ended");
    drop(open);
    assert_eq!(rest(&mut third).expect("served in its turn"), "1\n");
    drop(third);
    end(evconn);
}
