//! The guest library's listener.

use crate::world::{World, line, yes};
use evconn_guest::p3::bindings::wasi::sockets::types::IpSocketAddress;
use evconn_guest::p3::{Listener, State, TcpStream, spawn};
use futures::future::join;
use futures::io::copy;
use futures::{AsyncReadExt, AsyncWriteExt, FutureExt};
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

fn any(world: &World) -> SocketAddr {
    match world.at(0) {
        IpSocketAddress::Ipv4(_) => (Ipv4Addr::LOCALHOST, 0).into(),
        IpSocketAddress::Ipv6(_) => (Ipv6Addr::LOCALHOST, 0).into(),
    }
}

/// Many clients, each with a task of its own that echoes.
pub async fn echo(world: &World) {
    const CLIENTS: usize = 20;
    let mut listener = Listener::bind(any(world)).expect("a listener");
    let address = listener.local_addrs().expect("addresses")[0];
    spawn(async move {
        while let Some(next) = listener.next().await {
            let (connection, _) = next.expect("a connection");
            spawn(async {
                let (reader, mut writer) = connection.split();
                copy(reader, &mut writer).await.expect("an echo");
            });
        }
    });
    let clients = (0..CLIENTS).map(async |number| {
        let mut stream = TcpStream::connect_to(address).await.expect("connected");
        let said = format!("{number}").repeat(1000);
        stream.write_all(said.as_bytes()).await.expect("sent");
        stream.close().await.expect("ended");
        let mut heard = String::new();
        stream.read_to_string(&mut heard).await.expect("received");
        heard == said
    });
    let heard = futures::future::join_all(clients).await;
    line("all of them", yes(heard.into_iter().all(|same| same)));
}

/// `next` is cancel-safe, and a handle controls the listener while it waits.
pub async fn control(world: &World) {
    let mut listener = Listener::builder()
        .disabled()
        .backlog(16)
        .bind(any(world))
        .expect("a listener");
    let address = listener.local_addrs().expect("addresses")[0];
    let control = listener.control();
    let disabled = matches!(control.state(), Some(State::Disabled));
    line("disabled", yes(disabled));
    line("at once", yes(listener.next().now_or_never().is_some()));
    let client = TcpStream::connect_to(address).await.expect("connected");
    control.enable().expect("it has not stopped");
    let own = client.local_addr().expect("an address");
    // It may be dropped while it waits, by which nothing is lost.
    let next = match listener.next().now_or_never() {
        Some(next) => next,
        None => listener.next().await,
    };
    let (_connection, peer) = next.expect("it has not stopped").expect("a connection");
    line("peer", yes(peer == own));
    let later = TcpStream::connect_to(address);
    let (next, later) = join(listener.next(), later).await;
    let (_connection, peer) = next.expect("it has not stopped").expect("a connection");
    let own = later.and_then(|stream| stream.local_addr());
    line("peer", yes(peer == own.expect("an address")));
    line(
        "accepted",
        control.stats().map_or(0, |stats| stats.accepted),
    );
    drop(listener);
    line("dropped", yes(control.state().is_none()));
    line("enable", yes(control.enable().is_ok()));
}

/// The host has no descriptors left, as soon as it lets this go on, until it has heard of that.
pub async fn told(world: &World) {
    let mut listener = Listener::bind(any(world)).expect("a listener");
    let address = listener.local_addrs().expect("addresses")[0];
    line("listening", address);
    evconn_guest::wasi::cli::stdin::get_stdin()
        .blocking_read(1)
        .expect("the host says so");
    let error = match listener.next().await {
        Some(Err(error)) => error,
        other => panic!("no error: {other:?}"),
    };
    line("code", crate::world::outcome::<()>(&Err(error.code)));
    while listener.next().await.expect("it has not stopped").is_err() {}
    line("accepted", "yes");
}
