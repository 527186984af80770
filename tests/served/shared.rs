//! Programs whose connections share an instance, as the flags of the command say.

use super::{acting, acts, end, lines};
use crate::support::descriptors::unchanged;
use crate::support::peer::connect;
use crate::support::process::Evconn;
use crate::support::{eventually, is_reset};
use std::io::{BufRead, BufReader, Write};
use std::net::{SocketAddr, TcpStream};

/// The flags of a chat server.
const MEET: [&str; 4] = ["--instances", "1", "--concurrency", "10"];

/// How many connections the instance of a new one has served, with it.
fn served(address: SocketAddr) -> std::io::Result<Vec<String>> {
    lines(address, "served\n")
}

#[test]
fn connections_meet_in_one_instance_whatever_the_number_of_processes() {
    let _open = unchanged();
    for processes in ["0", "1", "3"] {
        let flags = [&MEET[..], &["--processes", processes]].concat();
        let Some(evconn) = acting(&["serve"], &flags) else {
            return;
        };
        let address = evconn.address();
        for count in ["1", "2", "3"] {
            assert_eq!(served(address).expect("a regular end"), [count]);
        }
        let log = end(evconn);
        assert!(
            log.contains("served 3 connections, of which 0 were refused, 0 failed"),
            "{log}"
        );
    }
}

#[test]
fn an_instance_serves_as_many_as_it_may() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &["--reuse", "2", "--processes", "1"]) else {
        return;
    };
    let address = evconn.address();
    for count in ["1", "2", "1", "2", "1"] {
        assert_eq!(served(address).expect("a regular end"), [count]);
    }
    end(evconn);
}

/// One that ends before it accepts is told once, and is not started for each connection.
#[test]
fn one_that_never_accepts_is_told_once() {
    let _open = unchanged();
    let flags = [&MEET[..], &["--processes", "1"]].concat();
    for act in [&["return"][..], &["exit", "3"]] {
        let Some(evconn) = acting(act, &flags) else {
            return;
        };
        let address = evconn.address();
        for _ in 0..20 {
            let error = served(address).expect_err("a reset");
            assert!(is_reset(&error), "{error}");
        }
        let log = end(evconn);
        let told = log.matches("before it accepted the connection").count();
        assert!((1..=3).contains(&told), "{log}");
        assert!(log.contains("of which 0 were refused, 20 failed"), "{log}");
    }
}

/// An instance that is made ahead shows before anybody connects whether the program accepts.
#[test]
fn one_that_cannot_be_made_ahead_keeps_the_server_from_starting() {
    let _open = unchanged();
    let Some(path) = acts() else {
        return;
    };
    let path = path.to_str().expect("text");
    for (act, said) in [
        ("fail", "status 1"),
        ("return", "status 0"),
        ("panic", "unreachable"),
    ] {
        for processes in ["0", "1", "2"] {
            let flags = [
                "--listen",
                "127.0.0.1:0",
                "--warm",
                "2",
                "--processes",
                processes,
            ];
            let arguments = ["--arg", "program", "--arg", act];
            let ended = Evconn::run(&[&["serve", path], &flags[..], &arguments].concat());
            assert_eq!(ended.status.code(), Some(2), "{}", ended.stderr);
            assert_eq!(ended.stdout, "", "nobody is to connect");
            let told = ended
                .stderr
                .lines()
                .filter(|line| line.starts_with("evconn: "));
            let told: Vec<_> = told.collect();
            assert_eq!(told.len(), 1, "{}", ended.stderr);
            assert!(
                told[0].contains("cannot make an instance ahead"),
                "{told:?}"
            );
            assert!(told[0].contains(said), "{told:?}");
        }
    }
}

#[test]
fn instances_are_made_ahead() {
    let _open = unchanged();
    for processes in ["0", "1", "2"] {
        let flags = ["--warm", "2", "--processes", processes];
        let Some(evconn) = acting(&["serve"], &flags) else {
            return;
        };
        let address = evconn.address();
        for _ in 0..5 {
            assert_eq!(served(address).expect("a regular end"), ["1"]);
        }
        end(evconn);
    }
}

/// The instance that takes the place of one that has failed knows nothing of its connections.
#[test]
fn one_that_fails_is_replaced() {
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &MEET) else {
        return;
    };
    let address = evconn.address();
    assert_eq!(served(address).expect("a regular end"), ["1"]);
    lines(address, "panic\n").expect_err("a reset");
    assert_eq!(served(address).expect("a regular end"), ["1"]);
    let log = end(evconn);
    assert!(log.contains("unreachable"), "{log}");
}

#[cfg(target_os = "linux")]
#[test]
fn one_whose_worker_dies_is_replaced() {
    use crate::support::workers::{wait_for_workers, workers};
    let _open = unchanged();
    let Some(evconn) = acting(&["serve"], &MEET) else {
        return;
    };
    let address = evconn.address();
    assert_eq!(served(address).expect("a regular end"), ["1"]);
    let killed = workers(&evconn).remove(0);
    killed.kill();
    killed.ends();
    let count = eventually("it serves again", || served(address).ok());
    assert_eq!(count, ["1"]);
    assert_eq!(wait_for_workers(&evconn, 1).len(), 1);
    end(evconn);
}

/// A client of the chat server, which has said its name.
struct Client(BufReader<TcpStream>);

impl Client {
    fn join(address: SocketAddr, name: &str) -> Self {
        let mut client = Self(BufReader::new(connect(address)));
        assert_eq!(client.line(), "What is your name?\n");
        client.say(name);
        assert!(client.line().starts_with("* you are with"));
        client
    }

    fn say(&mut self, text: &str) {
        writeln!(self.0.get_mut(), "{text}").expect("sent");
    }

    fn line(&mut self) -> String {
        let mut line = String::new();
        self.0.read_line(&mut line).expect("a line");
        line
    }
}

#[test]
fn a_chat_server_is_served() {
    let _open = unchanged();
    let listen = [
        "serve",
        evconn_artifacts::CHAT_PATH,
        "--listen",
        "127.0.0.1:0",
    ];
    let evconn = Evconn::start(&[&listen[..], &MEET].concat());
    let address = evconn.address();
    let mut ada = Client::join(address, "ada");
    let mut bob = Client::join(address, "bob");
    assert_eq!(ada.line(), "* bob is here\n");
    bob.say("hello");
    assert_eq!(ada.line(), "bob: hello\n");
    drop(bob);
    assert_eq!(ada.line(), "* bob is gone\n");
    drop(ada);
    end(evconn);
}
