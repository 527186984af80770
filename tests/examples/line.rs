//! `line`: a command a line, and an answer to each.

use super::{cut_everywhere, exchange_by_bytes, start};
use crate::support::descriptors::unchanged;
use crate::support::exchange;
use std::fmt::Write;

const LINE: &[u8] = evconn_artifacts::LINE;

const HELP: &str = "ADD number number, COUNT, ECHO text, HELP, QUIT";

/// Returns the answers to everything that a peer sends.
async fn answer(requests: &[u8]) -> String {
    let server = start(LINE).await;
    let answer = exchange(server.connect().await, requests).await;
    assert_eq!(server.stop().await.failed, 0);
    String::from_utf8(answer).expect("text")
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn each_command_is_answered() {
    let _open = unchanged();
    let usage = "ERROR ADD takes two whole numbers, as in ADD 2 3";
    let no_command = |name| format!("ERROR there is no command {name}; there are {HELP}");
    let dialogue = [
        ("HELP", format!("OK {HELP}")),
        ("ECHO  two  spaces ", "OK  two  spaces ".to_owned()),
        ("ECHO", "OK ".to_owned()),
        ("ECHO käse", "OK käse".to_owned()),
        ("ADD 2 3", "OK 5".to_owned()),
        ("ADD -2 1", "OK -1".to_owned()),
        ("ADD 2", usage.to_owned()),
        ("ADD 2 3 4", usage.to_owned()),
        ("ADD two 3", usage.to_owned()),
        (
            "ADD 9223372036854775807 0",
            "OK 9223372036854775807".to_owned(),
        ),
        (
            "ADD 9223372036854775807 1",
            "ERROR the sum has more than 64 bits".to_owned(),
        ),
        ("ADD 9223372036854775808 1", usage.to_owned()),
        ("COUNT", "OK 13".to_owned()),
        ("add 2 3", no_command(r#""add""#)),
        ("\u{1b}[2J", no_command(r#""\u{1b}[2J""#)),
        ("", no_command(r#""""#)),
        ("QUIT", "OK goodbye".to_owned()),
    ];
    for end in ["\n", "\r\n"] {
        let requests: String = dialogue
            .iter()
            .map(|(line, _)| format!("{line}{end}"))
            .collect();
        let answers: String = dialogue
            .iter()
            .map(|(_, line)| format!("{line}\n"))
            .collect();
        assert_eq!(answer(requests.as_bytes()).await, answers);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_command_may_come_in_pieces() {
    let _open = unchanged();
    let server = start(LINE).await;
    let mut stream = server.connect().await;
    let probe = (&b"ECHO probe\r\n"[..], &b"OK probe\n"[..]);
    cut_everywhere(&mut stream, probe, (b"ADD 20 22\r\n", b"OK 42\n")).await;
    drop(stream);
    let answer = exchange_by_bytes(server.connect().await, b"ADD 1 2\r\nECHO x\nQUIT\r\n").await;
    assert_eq!(answer, b"OK 3\nOK x\nOK goodbye\n");
    assert_eq!(server.stop().await.failed, 0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn many_commands_at_once_are_answered_in_order() {
    let _open = unchanged();
    let (mut requests, mut answers) = (String::new(), String::new());
    for number in 0..50_000 {
        writeln!(requests, "ADD {number} 1").expect("written");
        writeln!(answers, "OK {}", number + 1).expect("written");
    }
    assert!(answer(requests.as_bytes()).await == answers);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_after_quit_is_done() {
    let _open = unchanged();
    assert_eq!(answer(b"QUIT\nHELP\n").await, "OK goodbye\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_that_is_too_long_is_the_last() {
    let _open = unchanged();
    let longest = "x".repeat(1024 - "ECHO \n".len());
    assert_eq!(
        answer(format!("ECHO {longest}\nECHO {longest}x\nHELP\n").as_bytes()).await,
        format!("OK {longest}\nERROR a line has at most 1024 bytes\n")
    );
    // Before it has an end.
    assert_eq!(
        answer(&[b'x'; 100_000]).await,
        "ERROR a line has at most 1024 bytes\n"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_not_a_line_is_the_last() {
    let _open = unchanged();
    assert_eq!(answer(b"").await, "");
    assert_eq!(
        answer(b"COUNT\nADD 1 23").await,
        "OK 1\nERROR the last line has no end\n"
    );
    assert_eq!(
        answer(b"ECHO \xff\nCOUNT\n").await,
        "ERROR a line is text in UTF-8\n"
    );
}
