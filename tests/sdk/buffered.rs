//! Buffered connections: watermarks, timeouts, connecting, ending, and what callbacks may do.

use super::cases;
use super::program::{Program, connect_narrowly};
use crate::support::{ask, connect, exchange, read_line, reset, within};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

cases!(
    echo,
    low_watermark,
    high_watermark,
    back_pressure,
    read_timeout,
    write_timeout,
    timed_out_again,
    broken_in_its_write_callback,
    connects,
    connect_is_refused,
    finished_side,
    large_answer,
    aborted,
    closed_in_its_read_callback,
    closed_by_another_one,
    callbacks_replaced,
    input_looked_at,
    without_an_event_callback,
    reset_by_the_peer,
    base_dropped,
);

/// Bytes among which none looks like its neighbour.
fn bytes(count: usize) -> Vec<u8> {
    (0..count).map(|index| (index * 31 % 251) as u8).collect()
}

async fn read_to_end(stream: &mut TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    within("the end", stream.read_to_end(&mut bytes))
        .await
        .expect("received");
    bytes
}

async fn echo(program: Program) {
    let mut program = program.start();
    let client = program.connect().await;
    let sent = bytes(10 << 20);
    assert!(exchange(client, &sent).await == sent, "all of it, in order");
    program.ends(&["event: End", "ended: NothingLeft"]).await;
}

async fn low_watermark(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    assert_eq!(read_line(&mut client).await, "begin\n");
    client.set_nodelay(true).expect("set");
    // If these came alone, the callback would say so: it wants six.
    client.write_all(b"abc").await.expect("sent");
    client.write_all(b"def").await.expect("sent");
    assert_eq!(program.hear("input").await, "abcdef");
    assert_eq!(read_line(&mut client).await, "more\n");
    client.write_all(b"ghi").await.expect("sent");
    client.shutdown().await.expect("ended");
    program.ends(&["event: End", "ended: NothingLeft"]).await;
}

async fn high_watermark(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    client.write_all(b"abcdefghijklmnop").await.expect("sent");
    client.shutdown().await.expect("ended");
    let lines = [
        "input: 8",
        "input: 8",
        "taken: abcdefgh",
        "input: 8",
        "input: 8",
        "taken: ijklmnop",
        "event: End",
        "ended: NothingLeft",
    ];
    program.ends(&lines).await;
}

async fn back_pressure(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut client = connect_narrowly(address).await;
    let (mut reader, mut writer) = client.split();
    let sent = bytes(32 << 20);
    let send = async {
        writer.write_all(&sent).await.expect("sent");
        writer.shutdown().await.expect("ended");
    };
    let receive = async {
        // Nothing is read before the program has seen that nothing moves.
        assert_eq!(program.hear("paused").await, "yes");
        let mut received = Vec::new();
        reader.read_to_end(&mut received).await.expect("received");
        received
    };
    let ((), received) = within("all comes back", async { tokio::join!(send, receive) }).await;
    assert!(received == sent, "all of it, in order");
    program
        .ends(&["event: End", "ended: NothingLeft", "bounded: true"])
        .await;
}

async fn read_timeout(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    assert_eq!(read_to_end(&mut client).await, b"");
    program
        .ends(&["event: TimedOut(Read)", "ended: NothingLeft"])
        .await;
}

async fn timed_out_again(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    assert_eq!(read_to_end(&mut client).await, b"");
    let timed_out = "event: TimedOut(Read)";
    program
        .ends(&[
            timed_out,
            timed_out,
            timed_out,
            "late: true",
            "ended: NothingLeft",
        ])
        .await;
}

async fn broken_in_its_write_callback(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let _peers = [
        connect(address).await,
        connect(address).await,
        connect(address).await,
    ];
    program
        .ends(&["called: 1 Break", "called: 2 Break", "called: 3 Break"])
        .await;
}

async fn write_timeout(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let _client = connect_narrowly(address).await;
    program
        .ends(&["event: TimedOut(Write)", "closing: 1", "ended: Break"])
        .await;
}

async fn connects(program: Program) {
    let lines = [
        "event: Connected",
        "answer: hello",
        "event: End",
        "ended: NothingLeft",
        "connections: 1",
    ];
    program.says(&lines).await;
}

async fn connect_is_refused(program: Program) {
    let lines = [
        "event: Error(ConnectionRefused)",
        "ended: NothingLeft",
        "ended: NothingLeft",
        "ended: NothingLeft",
    ];
    program.says(&lines).await;
}

async fn finished_side(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut client = connect_narrowly(address).await;
    assert_eq!(program.hear("write").await, "NotConnected");
    assert_eq!(read_to_end(&mut client).await.len(), 4 << 20);
    client.write_all(b"still here\n").await.expect("sent");
    assert_eq!(program.hear("line").await, "still here");
    drop(client);
    program.ends(&["event: End", "ended: NothingLeft"]).await;
}

async fn large_answer(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut client = connect_narrowly(address).await;
    assert_eq!(program.hear("closing").await, "1");
    assert_eq!(read_to_end(&mut client).await.len(), 32 << 20);
    program.ends(&["ended: NothingLeft"]).await;
}

async fn aborted(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    assert_eq!(read_to_end(&mut client).await, b"");
    program.ends(&["ended: NothingLeft"]).await;
}

async fn closed_in_its_read_callback(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    client.write_all(b"hello").await.expect("sent");
    assert_eq!(read_to_end(&mut client).await, b"goodbye");
    let lines = [
        "callback: still runs",
        "closure: dropped",
        "ended: NothingLeft",
    ];
    program.ends(&lines).await;
}

async fn closed_by_another_one(program: Program) {
    let mut program = program.start();
    let address = program.address().await;
    let mut peers = [connect(address).await, connect(address).await];
    for peer in &mut peers {
        peer.write_all(b"hello").await.expect("sent");
    }
    program.tell().await;
    program
        .ends(&["call: closes all", "ended: NothingLeft"])
        .await;
}

async fn callbacks_replaced(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    assert_eq!(ask(&mut client, "first\n").await, "go on\n");
    assert_eq!(program.hear("read").await, "6");
    assert_eq!(program.hear("written").await, "0");
    client.write_all(b"second\n").await.expect("sent");
    program
        .ends(&["read by the next one: 7", "ended: NothingLeft"])
        .await;
}

async fn input_looked_at(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    client.write_all(b"headline\n").await.expect("sent");
    let lines = ["input: head", "left: 5", "line: line", "ended: NothingLeft"];
    program.ends(&lines).await;
}

async fn without_an_event_callback(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    client.shutdown().await.expect("ended");
    assert_eq!(read_to_end(&mut client).await, b"");
    program.ends(&["ended: NothingLeft"]).await;
}

async fn reset_by_the_peer(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    assert_eq!(read_line(&mut client).await, "connected\n");
    reset(client);
    program.ends(&["error: true", "ended: NothingLeft"]).await;
}

async fn base_dropped(program: Program) {
    let mut program = program.start();
    let mut client = program.connect().await;
    assert_eq!(program.hear("ended").await, "Break");
    assert_eq!(program.hear("closed").await, "true");
    assert_eq!(program.hear("base").await, "false");
    // While the program still runs.
    assert_eq!(read_to_end(&mut client).await, b"");
    program.tell().await;
    program.ends(&[]).await;
}
