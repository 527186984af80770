//! A service that is replaced while it serves.

use super::Running;
use crate::support::descriptors::unchanged;
use crate::support::{ask, exchange, host};
use evconn::{Service, guests};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn new_connections_get_the_new_one_and_old_ones_keep_the_old() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let mut old = server.connect().await;
    assert_eq!(ask(&mut old, "echo\nhello\n").await, "hello\n");

    let echo = Service::new(host(), guests::ECHO).expect("a service");
    server.handle.reload(&echo).expect("there is room");
    // The new one echoes the command as well.
    let answer = exchange(server.connect().await, b"peer\n").await;
    assert_eq!(answer, b"peer\n");
    assert_eq!(ask(&mut old, "still here\n").await, "still here\n");
    drop(old);
    assert_eq!(server.stop().await.connections, 2);
}

/// Clients connect all the time, and each is served by one of the two.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_connection_fails_while_it_is_replaced() {
    let _open = unchanged();
    let server = Running::start(|builder| builder).await;
    let echo = Service::new(host(), guests::ECHO).expect("a service");
    let test = super::service();
    let address = server.address;
    let clients = (0..8).map(|_| {
        tokio::spawn(async move {
            for _ in 0..50 {
                let stream = crate::support::connect(address).await;
                let answer = exchange(stream, b"echo\nhello\n").await;
                assert!(answer.ends_with(b"hello\n"), "{answer:?}");
            }
        })
    });
    let clients: Vec<_> = clients.collect();
    for _ in 0..50 {
        server.handle.reload(&echo).expect("there is room");
        tokio::task::yield_now().await;
        server.handle.reload(&test).expect("there is room");
    }
    for client in clients {
        client.await.expect("every connection was served");
    }
    let served = server.stop().await;
    assert_eq!((served.connections, served.failed), (400, 0));
}
