//! The chat server: all of its peers in one instance.

use super::program::{Name, Program, Running, connect_narrowly};
use crate::support::descriptors::unchanged;
use crate::support::{connect, limit, read_line, skip, within};
use std::net::SocketAddr;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::TcpStream;

const QUESTION: &str = "What is your name?\n";

async fn start() -> (Running, SocketAddr) {
    let mut program = Program::new(Name::Chat, &["127.0.0.1:0"]).start();
    let line = program.line().await;
    let address = line
        .strip_prefix("Listening on ")
        .expect("where it listens");
    let address = address.parse().expect("an address");
    (program, address)
}

/// Someone who has said a name. Returns what was answered, too.
async fn enter(address: SocketAddr, name: &str) -> (BufReader<TcpStream>, String) {
    let mut peer = BufReader::new(connect(address).await);
    assert_eq!(next_line(&mut peer).await, QUESTION);
    say(&mut peer, name).await;
    let answer = next_line(&mut peer).await;
    (peer, answer)
}

async fn say(peer: &mut BufReader<TcpStream>, line: &str) {
    let line = format!("{line}\n");
    within("sent", peer.write_all(line.as_bytes()))
        .await
        .expect("sent");
}

async fn next_line(peer: &mut BufReader<TcpStream>) -> String {
    let mut line = String::new();
    within("a line", peer.read_line(&mut line))
        .await
        .expect("received");
    line
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everyone_hears_everyone_else() {
    let _open = unchanged();
    let (_program, address) = start().await;
    let (mut anna, answer) = enter(address, "Anna").await;
    assert_eq!(answer, "* you are with 0 others: \n");
    let (mut bert, answer) = enter(address, "Bert").await;
    assert_eq!(answer, "* you are with 1 others: Anna\n");
    assert_eq!(next_line(&mut anna).await, "* Bert is here\n");
    say(&mut anna, "Hello!").await;
    say(&mut bert, "Hello you.\r").await;
    assert_eq!(next_line(&mut bert).await, "Anna: Hello!\n");
    assert_eq!(next_line(&mut anna).await, "Bert: Hello you.\n");
    drop(bert);
    assert_eq!(next_line(&mut anna).await, "* Bert is gone\n");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_line_has_an_end() {
    let _open = unchanged();
    let (_program, address) = start().await;
    let (mut anna, _) = enter(address, "Anna").await;
    let (mut bert, _) = enter(address, "Bert").await;
    assert_eq!(next_line(&mut anna).await, "* Bert is here\n");
    bert.write_all(&[b'x'; 2000]).await.expect("sent");
    assert_eq!(
        next_line(&mut bert).await,
        "A line has at most 1024 bytes.\n"
    );
    assert_eq!(next_line(&mut bert).await, "", "it is closed");
    assert_eq!(next_line(&mut anna).await, "* Bert is gone\n");
}

/// Someone who does not read is dropped, and the others hear all that is said.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_slow_reader_holds_nobody_up() {
    let _open = unchanged();
    let (_program, address) = start().await;
    let mut slow = connect_narrowly(address).await;
    assert_eq!(read_line(&mut slow).await, QUESTION);
    slow.write_all(b"Slow\n").await.expect("sent");
    assert_eq!(read_line(&mut slow).await, "* you are with 0 others: \n");
    let (mut anna, _) = enter(address, "Anna").await;
    let (mut bert, _) = enter(address, "Bert").await;
    assert_eq!(next_line(&mut anna).await, "* Bert is here\n");

    let text = "x".repeat(1000);
    let mut is_gone = false;
    let mut count = 0;
    while !is_gone {
        say(&mut anna, &text).await;
        let mut line = next_line(&mut bert).await;
        if line == "* Slow is gone: it does not read\n" {
            is_gone = true;
            line = next_line(&mut bert).await;
        }
        assert_eq!(line.len(), "Anna: \n".len() + text.len());
        count += 1;
        assert!(count < 100_000, "it is dropped at some time");
    }
    let (_carl, answer) = enter(address, "Carl").await;
    assert_eq!(answer, "* you are with 2 others: Anna, Bert\n");
    drop(slow);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_thousand_in_one_instance() {
    const PEERS: usize = 1000;
    let _open = unchanged();
    if !limit::has_room_for(2 * PEERS as u64 + 500) {
        skip("this process may not open 2,500 descriptors");
        return;
    }
    let (_program, address) = start().await;
    let mut peers = Vec::new();
    for number in 0..PEERS {
        let mut peer = BufReader::new(connect(address).await);
        assert_eq!(next_line(&mut peer).await, QUESTION);
        say(&mut peer, &format!("p{number}")).await;
        // It is in before the next one comes.
        assert!(next_line(&mut peer).await.starts_with("* you are with"));
        peers.push(peer);
    }
    say(&mut peers[0], "to all").await;
    let last = PEERS - 1;
    say(&mut peers[last], "from the last").await;
    for (number, peer) in peers.iter_mut().enumerate() {
        for other in number + 1..PEERS {
            assert_eq!(next_line(peer).await, format!("* p{other} is here\n"));
        }
        // Which of the two was said first is not known.
        let mut expected = vec![
            "p0: to all\n".to_owned(),
            format!("p{last}: from the last\n"),
        ];
        if number == 0 {
            expected.remove(0);
        } else if number == last {
            expected.remove(1);
        }
        while !expected.is_empty() {
            let line = next_line(peer).await;
            let position = expected.iter().position(|other| *other == line);
            expected.remove(position.unwrap_or_else(|| panic!("{number}: {line:?}")));
        }
    }
    let mut leaver = peers.pop().expect("there are many");
    leaver.shutdown().await.expect("ended");
    let mut rest = Vec::new();
    within("the end", leaver.read_to_end(&mut rest))
        .await
        .expect("received");
    for peer in &mut peers {
        assert_eq!(next_line(peer).await, format!("* p{last} is gone\n"));
    }
}
