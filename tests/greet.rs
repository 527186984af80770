//! The service `guest/examples/greet`, which is one function with the guest library.

use crate::support::descriptors::unchanged;
use crate::support::{Server, ask, read_line, wait_for_close};
use evconn::Limits;
use std::net::Ipv4Addr;
use tokio::io::AsyncWriteExt;

const GREET: &[u8] = evconn_artifacts::GREET;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_greets_whoever_says_a_name() {
    let _open = unchanged();
    let server = Server::start(Ipv4Addr::LOCALHOST.into(), GREET, Limits::default()).await;
    let mut peer = server.connect().await;
    let address = peer.local_addr().expect("an address");
    assert_eq!(read_line(&mut peer).await, "What is your name?\n");
    let answer = ask(&mut peer, "Anna\n").await;
    assert_eq!(answer, format!("Hello, Anna! You are {address}.\n"));
    wait_for_close(&mut peer).await;
    server.stop().await;
}

/// An error goes to the host's log, and ends this connection.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_name_that_is_no_text_is_an_error() {
    let _open = unchanged();
    let server = Server::start(Ipv4Addr::LOCALHOST.into(), GREET, Limits::default()).await;
    let mut peer = server.connect().await;
    assert_eq!(read_line(&mut peer).await, "What is your name?\n");
    peer.write_all(b"\xff\xfe\n").await.expect("sent");
    wait_for_close(&mut peer).await;
    let served = server.stop().await;
    assert_eq!(served.failed, 1);
}
