//! Services in other languages, built and served as their pages say, if their tools are installed.

mod asyncio;
mod javascript;
pub mod page;
mod python;

use crate::support::{ask, connect, exchange, within};
use page::Serving;
use std::collections::BTreeMap;
use std::io::ErrorKind;
use tokio::io::AsyncReadExt;

/// What the service answers to all that a peer says.
async fn answer(serving: &Serving, request: &[u8]) -> String {
    let answer = exchange(connect(serving.address).await, request).await;
    String::from_utf8(answer).expect("text")
}

/// Each line is answered with the other one, also where they come in pieces, and to several peers that
/// are connected at a time.
async fn answers(serving: &Serving, dialogue: &BTreeMap<&str, &str>) {
    let mut streams = Vec::new();
    for _ in 0..4 {
        streams.push(connect(serving.address).await);
    }
    for (line, expected) in dialogue {
        for stream in &mut streams {
            let (first, second) = line.as_bytes().split_at(line.len() / 2);
            page::send(stream, first).await;
            page::send(stream, second).await;
            let answer = ask(stream, "\n").await;
            assert_eq!(answer, format!("{expected}\n"), "{line}");
        }
    }
    // Together, the last of them by a peer that has ended its side.
    let requests: String = dialogue.keys().map(|line| format!("{line}\n")).collect();
    let expected: String = dialogue.values().map(|line| format!("{line}\n")).collect();
    assert_eq!(answer(serving, requests.as_bytes()).await, expected);
}

/// Even if the language's `with` or `finally` has dropped the connection, half an answer does not look
/// complete.
async fn failures_are_resets(serving: Serving) {
    for (what, end) in [
        ("bug\n", Some(ErrorKind::ConnectionReset)),
        ("give up\n", Some(ErrorKind::ConnectionReset)),
        ("nothing\n", None),
    ] {
        let mut peer = connect(serving.address).await;
        page::send(&mut peer, what.as_bytes()).await;
        let mut answer = Vec::new();
        let read = within("the end", peer.read_to_end(&mut answer)).await;
        assert_eq!(answer, b"half of it", "{what}");
        assert_eq!(read.err().map(|error| error.kind()), end, "{what}");
    }
    let log = serving.log();
    assert!(log.contains("it gives up"), "{log}");
}

async fn instances_are_used_again(serving: Serving) {
    for expected in ["1\n", "2\n", "3\n"] {
        assert_eq!(answer(&serving, b"count\n").await, expected);
    }
    serving.stop();
}
