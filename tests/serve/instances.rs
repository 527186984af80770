//! The flags for instances: which contradict each other, and what they set.

use crate::support::descriptors::unchanged;
use crate::support::process::Evconn;
use crate::support::wasip2::program;
use rustix::process::Signal;

const GREET: &str = evconn_artifacts::GREET_PATH;

/// The only line of a command that does not start.
fn refused(path: &str, flags: &[&str]) -> String {
    let listen = ["--listen", "127.0.0.1:0"];
    let ended = Evconn::run(&[&["serve", path], &listen[..], flags].concat());
    let text = ended.stderr;
    assert_eq!(ended.status.code(), Some(2), "{flags:?}: {text}");
    assert_eq!(ended.stdout, "", "{flags:?}");
    text
}

#[test]
fn flags_that_contradict_each_other_are_one_line() {
    let _open = unchanged();
    for (flags, said) in [
        (
            &["--reuse", "1", "--concurrency", "5"][..],
            "--concurrency 5 contradicts --reuse 1",
        ),
        (
            &["--warm", "4", "--instances", "3"],
            "--warm 4 contradicts --instances 3",
        ),
        (
            &["--warm", "4", "--max-connections", "3"],
            "--warm 4 is more than the 3 connections",
        ),
        (
            &["--idle-instance-timeout", "5"],
            "--idle-instance-timeout has no effect",
        ),
        (
            &["--concurrency", "5"],
            "--concurrency 5 requires a program",
        ),
    ] {
        for processes in ["0", "1"] {
            let flags = [flags, &["--processes", processes]].concat();
            let text = refused(GREET, &flags);
            assert_eq!(text.lines().count(), 1, "{text}");
            assert!(text.contains(said), "{text}");
        }
    }
}

#[test]
fn a_number_of_instances_is_at_least_one() {
    let _open = unchanged();
    for flag in ["--instances", "--concurrency", "--reuse"] {
        for value in ["0", "-1", "x"] {
            let text = refused(GREET, &[flag, value]);
            assert!(text.contains("expected a number from 1 to"), "{text}");
        }
    }
    assert!(refused(GREET, &["--reuse", "0"]).contains("or none"));
}

/// A maximum that the instances do not allow is lowered, which is said if it was given.
#[test]
fn connections_are_no_more_than_instances_have() {
    let _open = unchanged();
    const LOWERED: &str = "maximum number of connections lowered from 100 to 3";
    for (given, is_said) in [(&[][..], false), (&["--max-connections", "100"], true)] {
        for processes in ["0", "2"] {
            let flags = ["--instances", "3", "--processes", processes];
            let listen = ["--listen", "127.0.0.1:0"];
            let evconn = Evconn::start(&[&["serve", GREET], &listen[..], &flags, given].concat());
            evconn.address();
            evconn.signal(Signal::TERM);
            let ended = evconn.wait();
            assert_eq!(ended.stderr.contains(LOWERED), is_said, "{}", ended.stderr);
            assert_eq!(ended.status.code(), Some(0));
        }
    }
}

/// With the flags of the chat server, a program that serves one client after the other starts, too.
#[test]
fn a_program_may_have_several_connections() {
    let _open = unchanged();
    let Some(path) = program("std-echo") else {
        return;
    };
    let path = path.to_str().expect("text");
    let listen = ["--listen", "127.0.0.1:0"];
    let flags = ["--instances", "1", "--concurrency", "1000"];
    let evconn = Evconn::start(&[&["serve", path], &listen[..], &flags].concat());
    evconn.address();
    evconn.signal(Signal::TERM);
    assert_eq!(evconn.wait().status.code(), Some(0));
}
