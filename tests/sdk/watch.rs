//! Connections without a buffer, watched in the loop.

use super::cases;
use super::program::{Program, Running};
use crate::support::{connect, exchange, reset, wait_for_close, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

cases!(
    watched_echo,
    disabled_in_its_closure,
    both_directions,
    timed_out,
    connection_dropped_in_its_closure,
    handle_dropped,
    one_call_of_two,
    given_a_buffer,
    watched_base_dropped,
    many_writers,
    peer_gone,
);

/// So many peers, which have sent these bytes when the program goes on.
async fn peers(program: &mut Running, count: usize, bytes: &[u8]) -> Vec<TcpStream> {
    let address = program.address().await;
    let mut peers = vec![];
    for _ in 0..count {
        let mut peer = connect(address).await;
        peer.write_all(bytes).await.expect("sent");
        peers.push(peer);
    }
    program.tell().await;
    peers
}

async fn one_peer(program: &mut Running, bytes: &[u8]) -> TcpStream {
    let peer = peers(program, 1, bytes).await.pop();
    peer.expect("there is one")
}

async fn watched_echo(program: Program) {
    let mut program = program.start();
    let client = one_peer(&mut program, b"").await;
    let sent: Vec<u8> = (0..3 << 20).map(|number: u32| number as u8).collect();
    assert!(exchange(client, &sent).await == sent, "all of it");
    program.ends(&["ended: NothingLeft"]).await;
}

async fn disabled_in_its_closure(program: Program) {
    let mut program = program.start();
    let _peer = one_peer(&mut program, b"x").await;
    program
        .ends(&[
            "call: Read",
            "ended: NothingLeft",
            "call: Read",
            "ended: NothingLeft",
            "enabled: false",
            "ended: NothingLeft",
        ])
        .await;
}

async fn both_directions(program: Program) {
    let mut program = program.start();
    let mut peer = one_peer(&mut program, b"").await;
    // It writes before it reads.
    assert_eq!(within("a byte", peer.read_u8()).await.expect("sent"), b'w');
    peer.write_all(b"hello").await.expect("sent");
    program
        .ends(&["read: hello", "ended: NothingLeft", "ended: true"])
        .await;
}

async fn timed_out(program: Program) {
    let mut program = program.start();
    let _peer = one_peer(&mut program, b"").await;
    program
        .ends(&[
            "call: TimedOut",
            "call: TimedOut",
            "timer: disables it",
            "ended: NothingLeft",
        ])
        .await;
}

async fn connection_dropped_in_its_closure(program: Program) {
    let mut program = program.start();
    let mut peer = one_peer(&mut program, b"").await;
    wait_for_close(&mut peer).await;
    program
        .ends(&[
            "call: true",
            "closure: dropped",
            "ended: NothingLeft",
            "enabled: false",
        ])
        .await;
}

async fn handle_dropped(program: Program) {
    let mut program = program.start();
    let mut peer = one_peer(&mut program, b"x").await;
    wait_for_close(&mut peer).await;
    program
        .ends(&["closure: dropped", "ended: NothingLeft"])
        .await;
}

async fn one_call_of_two(program: Program) {
    let mut program = program.start();
    for how in ["drop", "remove", "disable", "break"] {
        let _peers = peers(&mut program, 2, b"x").await;
        assert_eq!(program.hear("call").await, how);
        let ended = if how == "break" {
            "Break"
        } else {
            "NothingLeft"
        };
        assert_eq!(program.hear("ended").await, ended, "{how}");
    }
    program.ends(&[]).await;
}

async fn given_a_buffer(program: Program) {
    let mut program = program.start();
    let mut peer = one_peer(&mut program, b"hello").await;
    wait_for_close(&mut peer).await;
    program
        .ends(&["has ended: true", "input: hello", "ended: NothingLeft"])
        .await;
}

async fn watched_base_dropped(program: Program) {
    let mut program = program.start();
    let mut peers = peers(&mut program, 3, b"").await;
    assert_eq!(program.hear("closure").await, "dropped");
    assert_eq!(program.hear("timer's").await, "true");
    assert_eq!(program.hear("base").await, "false");
    for peer in &mut peers {
        wait_for_close(peer).await;
    }
    program.tell().await;
    program.ends(&[]).await;
}

async fn many_writers(program: Program) {
    let mut program = program.start();
    let peers = peers(&mut program, 300, b"").await;
    for mut peer in peers {
        let mut received = Vec::new();
        within("all of it", peer.read_to_end(&mut received))
            .await
            .expect("received");
        assert_eq!(received, b"xxxxxxxxxx");
    }
    program.ends(&["ended: NothingLeft"]).await;
}

async fn peer_gone(program: Program) {
    let mut program = program.start();
    let peer = one_peer(&mut program, b"some").await;
    assert_eq!(program.hear("watching").await, "true");
    reset(peer);
    program.ends(&["gone: true", "ended: NothingLeft"]).await;
}
