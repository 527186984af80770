//! The flags of `evconn serve`.

use crate::support::process::{Ended, Evconn};
use crate::support::scratch::Scratch;
use crate::support::{TEST_GUEST, connect, exchange, wait_for_close};
use rustix::process::Signal;
use std::fs;
use std::net::SocketAddr;
use std::process::{Command, Stdio};
use tokio::io::AsyncWriteExt;

/// `evconn serve` with the test guest and these flags, on a port of its own.
pub struct Serving {
    evconn: Evconn,
    pub address: SocketAddr,
    _scratch: Scratch,
}

impl Serving {
    pub fn start(flags: &[&str]) -> Self {
        let scratch = Scratch::new();
        let app = scratch.join("app.wasm");
        fs::write(&app, TEST_GUEST).expect("a file");
        let mut command = Command::new(crate::support::process::EVCONN);
        command
            .arg("serve")
            .arg(&app)
            .args(["--listen", "127.0.0.1:0"])
            .args(flags)
            .env("INHERITED", "from here")
            .env_remove("RUST_LOG")
            .stdin(Stdio::null());
        let evconn = Evconn::start_by(&mut command);
        let address = evconn.address();
        Self {
            evconn,
            address,
            _scratch: scratch,
        }
    }

    pub async fn answer(&self, command: &str) -> String {
        let request = format!("{command}\n");
        let answer = exchange(connect(self.address).await, request.as_bytes()).await;
        String::from_utf8(answer).expect("text")
    }

    /// Has a connection fail: it is reset.
    pub async fn fail(&self, command: &str) {
        let mut stream = connect(self.address).await;
        let request = format!("{command}\n");
        stream.write_all(request.as_bytes()).await.expect("sent");
        wait_for_close(&mut stream).await;
    }

    /// Stops it, and returns what it wrote to standard error.
    pub fn stop(self) -> String {
        self.evconn.signal(Signal::TERM);
        let Ended { status, stderr, .. } = self.evconn.wait();
        assert!(status.success(), "{status}: {stderr}");
        stderr
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_flag_grants_what_it_says() {
    let scratch = Scratch::new();
    fs::write(scratch.join("file"), "hello").expect("a file");
    let host = scratch.join("");
    let host = host.to_str().expect("text");
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let serving = Serving::start(&[
        "--env",
        "GIVEN=a=b",
        "--env",
        "INHERITED",
        "--arg",
        "--verbose",
        "--arg=two words",
        "--dir",
        &format!("{host}::/data"),
        "--dir",
        &format!("{host}:ro"),
        "--allow-connect",
        &format!("localhost:{port}"),
    ]);
    for (command, expected) in [
        ("env", "GIVEN=a=b\nINHERITED=from here\n"),
        ("args", "--verbose\ntwo words\n"),
        ("cat /data/file", "hello"),
        ("write /data/new mine", "4 bytes\n"),
        (&format!("cat {host}/new"), "mine"),
        (&format!("write {host}/new mine"), "not-permitted\n"),
        ("resolve example.com", "permanent-resolver-failure\n"),
    ] {
        assert_eq!(serving.answer(command).await, expected, "{command}");
    }
    let connected = tokio::task::spawn_blocking(move || {
        use std::io::Write;
        let (mut stream, _) = upstream.accept().expect("a connection");
        stream.write_all(b"welcome\n").expect("sent");
        // Closed when the guest has closed, so that it reads all.
        std::io::copy(&mut stream, &mut std::io::sink()).expect("its end");
    });
    let command = format!("connect localhost {port} hello");
    assert_eq!(serving.answer(&command).await, "welcome\n");
    connected.await.expect("no panic");
    serving.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_service_is_granted_networks_and_ports_or_all_of_them() {
    let upstream = std::net::TcpListener::bind("127.0.0.1:0").expect("bound");
    let port = upstream.local_addr().expect("its address").port();
    let answering = std::thread::spawn(move || {
        use std::io::Write;
        for _ in 0..3 {
            let (mut stream, _) = upstream.accept().expect("a connection");
            stream.write_all(b"welcome\n").expect("sent");
            std::io::copy(&mut stream, &mut std::io::sink()).expect("its end");
        }
    });
    let command = format!("connect 127.0.0.1 {port} hello");
    for (flags, expected) in [
        (&["--allow-connect", "127.0.0.0/8:*"][..], "welcome\n"),
        (&["--allow-connect", "127.0.0.1:1-65535"], "welcome\n"),
        (&["--inherit-network"], "welcome\n"),
        (&["--allow-connect", "128.0.0.0/8:*"], "access-denied\n"),
        (&["--allow-udp", "127.0.0.0/8:*"], "access-denied\n"),
    ] {
        let serving = Serving::start(flags);
        assert_eq!(serving.answer(&command).await, expected, "{flags:?}");
        serving.stop();
    }
    answering.join().expect("no panic");
}

/// One line says what is wrong, and nothing was bound: no line says where it listens.
#[test]
fn what_cannot_be_granted_is_refused_at_the_start() {
    let scratch = Scratch::new();
    let app = scratch.join("app.wasm");
    fs::write(&app, TEST_GUEST).expect("a file");
    let app = app.to_str().expect("text");
    let missing = scratch.join("missing");
    let missing = missing.to_str().expect("text");
    for (flags, why) in [
        (
            ["--dir", missing],
            format!(
                "evconn: cannot grant the directory {missing}: No such file or directory (os error 2)\n"
            ),
        ),
        (
            ["--dir", app],
            format!("evconn: cannot grant the directory {app}: Not a directory (os error 20)\n"),
        ),
    ] {
        let mut arguments = vec!["serve", app, "--listen", "127.0.0.1:0"];
        arguments.extend(flags);
        let ended = Evconn::run(&arguments);
        assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
        assert_eq!((ended.stderr, ended.stdout), (why, String::new()));
    }
}

#[test]
fn what_is_malformed_is_refused_with_what_would_be_right() {
    for (flag, value, why) in [
        ("--env", "", "NAME=VALUE"),
        ("--env", "=value", "NAME=VALUE"),
        ("--env", "EVCONN_NOT_SET", "EVCONN_NOT_SET=VALUE"),
        ("--dir", "", "HOST::GUEST"),
        ("--dir", "/tmp::", "HOST::GUEST"),
        ("--dir", "/tmp::/tmp:rw", "HOST::GUEST:ro"),
        ("--allow-connect", "localhost", "HOST:PORT"),
        ("--allow-connect", "localhost:0", "HOST:PORT"),
        ("--allow-connect", "::1:80", "[2001:db8::1]:443"),
        ("--allow-connect", "*:80", "HOST:PORT"),
    ] {
        let flag_and_value = format!("{flag}={value}");
        let ended = Evconn::run(&["serve", "app.wasm", "--listen", ":0", &flag_and_value]);
        assert_eq!(ended.status.code(), Some(2), "{flag_and_value}");
        assert!(ended.stderr.contains(why), "{}", ended.stderr);
        assert!(ended.stderr.contains(flag), "{}", ended.stderr);
    }
}

#[test]
fn the_help_lists_them_together() {
    let help = Evconn::run(&["serve", "--help"]).stdout;
    let (_, grants) = help.split_once("Grants:\n").expect("a heading");
    for flag in [
        "--env",
        "--arg",
        "--dir",
        "--allow-connect",
        "--allow-udp",
        "--listen-udp",
        "--inherit-network",
        "--inherit-stderr",
    ] {
        assert!(grants.contains(flag), "{flag}: {help}");
    }
}
