//! What the log says about a trap: what was wrong, what would be right, and where it happened.

use super::Running;
use crate::support::descriptors::unchanged;
use crate::support::log::Log;
use crate::support::wait_for_close;
use evconn::Limits;
use tokio::io::AsyncWriteExt;

/// What is logged of a connection that begins with this command, and ends in a trap.
async fn told(limits: Limits, command: &str) -> String {
    let log = Log::start();
    let server = Running::start(|builder| builder.limits(limits)).await;
    let mut peer = server.connect().await;
    let line = format!("{command}\n");
    peer.write_all(line.as_bytes()).await.expect("sent");
    wait_for_close(&mut peer).await;
    assert_eq!(server.stop().await.failed, 1, "{command}");
    let text = log.text();
    let mut lines = text
        .lines()
        .filter(|line| line.contains("connection failed"));
    let line = lines.next().unwrap_or_else(|| panic!("{command}: {text}"));
    assert!(line.contains(" WARN "), "{line}");
    assert_eq!(lines.next(), None, "one record");
    line.to_owned()
}

#[tokio::test]
async fn a_trap_names_its_remedy() {
    let _open = unchanged();
    let limits = Limits {
        max_memory: 8 << 20,
        max_handles: 16,
        cpu_timeout: Some(std::time::Duration::from_millis(100)),
        ..Limits::default()
    };
    for (command, why) in [
        (
            "write-at-once 27061",
            "blocking-write-and-flush takes 4096 bytes at most, not 27061: call it with pieces of that size",
        ),
        (
            "write-unasked 1",
            "1 bytes were written, but check-write allowed 0: call check-write before each write",
        ),
        (
            "zeroes-unasked 1000000000000",
            "1000000000000 bytes were written, but check-write allowed 524288: call check-write",
        ),
        (
            "poll-nothing",
            "empty poll list: poll takes one pollable at least",
        ),
        (
            "drop-socket-first",
            "resource has children: drop what was made of a resource before the resource itself",
        ),
        (
            "random 262145",
            "get-random-bytes gives 262144 bytes at most, not 262145: call it several times",
        ),
        (
            "recurse",
            "out of bounds memory access: a function is many times on the stack, which may have run out of \
             its memory: recurse less deep",
        ),
        (
            "grow 16000000",
            "after it was refused more memory than its limit of 8 MiB: raise that with --max-memory (in the \
             library, Limits::max_memory)",
        ),
        (
            "hold 100",
            "its service has more than 16 handles: drop those that are not needed, or raise the limit with \
             --max-handles (in the library, Limits::max_handles)",
        ),
        (
            "spin",
            "its service has computed for more than 100ms: raise the limit with --cpu-timeout (in the \
             library, Limits::cpu_timeout)",
        ),
    ] {
        let line = told(limits, command).await;
        assert!(line.contains(why), "{command}: {line}");
        assert!(line.contains("backtrace=\"0: "), "{command}: {line}");
    }
}

/// The test guest has no names.
#[tokio::test]
async fn where_it_was_is_a_field() {
    let _open = unchanged();
    let line = told(Limits::default(), "recurse").await;
    let (_, backtrace) = line.split_once(" backtrace=\"").expect(&line);
    let lines: Vec<_> = backtrace.trim_end_matches('"').split("\\n").collect();
    assert_eq!(lines.len(), 20, "{line}");
    for (number, frame) in lines.iter().enumerate() {
        assert!(frame.starts_with(&format!("{number}: ")), "{line}");
        let (_, offset) = frame.split_once(" at 0x").expect(&line);
        assert!(u64::from_str_radix(offset, 16).is_ok(), "{line}");
    }
}
