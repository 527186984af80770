//! `bind`.

use crate::bindings::wasi::sockets::types::{IpAddressFamily, TcpSocket};
use crate::net::{Connection, bind, local};
use crate::report::{outcome, same, yes};
use crate::run::Run;
use futures_util::future::join;
use std::net::SocketAddr;

crate::cases!(
    a_port_is_chosen,
    any_address,
    port_in_use,
    refused_addresses,
    of_another_machine,
    twice,
    again_after_failure,
    bound_but_not_listening,
    port_in_time_wait,
    both_families,
    denied
);

async fn a_port_is_chosen(run: &Run) {
    let socket = run.socket();
    run.line("bind", outcome(&bind(&socket, run.any_port())))
        .await;
    run.line("ip", same(local(&socket).ip() == run.ip)).await;
    run.line("port", yes(local(&socket).port() > 0)).await;
}

async fn any_address(run: &Run) {
    let socket = run.socket();
    let any = SocketAddr::new(run.choose("0.0.0.0", "::"), 0);
    run.line("bind", outcome(&bind(&socket, any))).await;
    run.line("ip", same(local(&socket).ip() == any.ip())).await;
}

async fn port_in_use(run: &Run) {
    let listener = run.listening();
    let bound = bind(&run.socket(), local(&listener.socket));
    run.line("bind", outcome(&bound)).await;
}

async fn refused_addresses(run: &Run) {
    for ip in [
        run.choose("224.0.0.1", "ff02::1"),
        run.choose("255.255.255.255", "::ffff:127.0.0.1"),
        run.choose("::1", "127.0.0.1"),
    ] {
        let bound = bind(&run.socket(), SocketAddr::new(ip, 0));
        run.line(&ip.to_string(), outcome(&bound)).await;
    }
}

async fn of_another_machine(run: &Run) {
    let address = SocketAddr::new(run.choose("192.0.2.1", "2001:db8::1"), 0);
    let bound = bind(&run.socket(), address);
    run.line("bind", outcome(&bound)).await;
}

async fn twice(run: &Run) {
    let socket = run.bound();
    let before = local(&socket);
    let again = bind(&socket, run.any_port());
    run.line("bind", outcome(&again)).await;
    run.line("address", same(local(&socket) == before)).await;
}

async fn again_after_failure(run: &Run) {
    let listener = run.listening();
    let socket = run.socket();
    let first = bind(&socket, local(&listener.socket));
    run.line("bind", outcome(&first)).await;
    run.line("local-address", outcome(&socket.get_local_address()))
        .await;
    run.line("again", outcome(&bind(&socket, run.any_port())))
        .await;
}

async fn bound_but_not_listening(run: &Run) {
    let first = run.bound();
    let second = run.socket();
    let bound = bind(&second, local(&first));
    let listens = bound.and_then(|()| second.listen());
    run.line("the second", outcome(&listens)).await;
    run.line("the first", outcome(&first.listen())).await;
}

/// Of a connection that the listening side has ended first.
async fn port_in_time_wait(run: &Run) {
    let mut listener = run.listening();
    let address = local(&listener.socket);
    let (client, server) = join(run.connected(address), listener.accept()).await;
    drop(server);
    let mut client = Connection::of(client);
    assert!(client.input.next().await.is_none());
    drop((client, listener));
    let again = run.socket();
    run.line("bind", outcome(&bind(&again, address))).await;
    run.line("listen", outcome(&again.listen())).await;
}

/// An IPv6 socket takes nothing from IPv4, so that both can have the port.
async fn both_families(run: &Run) {
    let ipv6 = run.socket();
    bind(&ipv6, SocketAddr::new(run.choose("0.0.0.0", "::"), 0)).expect("bound");
    let _connections = ipv6.listen().expect("it listens");
    let (other, any) = match run.ip.is_ipv4() {
        true => (IpAddressFamily::Ipv6, run.choose("::", "::")),
        false => (IpAddressFamily::Ipv4, run.choose("0.0.0.0", "0.0.0.0")),
    };
    let other = TcpSocket::create(other).expect("a socket");
    let address = SocketAddr::new(any, local(&ipv6).port());
    run.line("bind", outcome(&bind(&other, address))).await;
    run.line("listen", outcome(&other.listen())).await;
}

async fn denied(run: &Run) {
    let socket = run.socket();
    run.line("bind", outcome(&bind(&socket, run.port(1)))).await;
    run.line("again", outcome(&bind(&socket, run.any_port())))
        .await;
}
