//! `from-sockets` and `into-sockets`.

use crate::world::{World, accept, has_event, line, options, outcome, yes};
use evconn_guest::p3::bindings::command::evconn::tcp::listener::{Listener, ListeningSocket};
use evconn_guest::p3::bindings::wasi::sockets::types::TcpSocket;

fn without(socket: TcpSocket) -> ListeningSocket {
    ListeningSocket {
        socket,
        connections: None,
    }
}

/// A bound socket is made to listen.
pub async fn bound(world: &World) {
    let listener = Listener::from_sockets(vec![without(world.bound())], Some(&options()));
    let listener = listener.expect("a listener");
    let client = world.client(&listener).await;
    line(
        "peer",
        yes(accept(&listener).await.peer == client.address()),
    );
}

/// No peer is lost when a listener is taken apart and put together, whether one waits for it or not.
pub async fn there_and_back(world: &World) {
    let mut listener = world.listener(&options());
    for _ in 0..3 {
        line("at once", yes(has_event(&listener)));
        let client = world.client(&listener).await;
        let sockets = Listener::into_sockets(listener);
        let listening = sockets[0].socket.get_is_listening();
        line(
            "is-listening",
            yes(listening && sockets[0].connections.is_some()),
        );
        listener = Listener::from_sockets(sockets, Some(&options())).expect("a listener");
        line(
            "peer",
            yes(accept(&listener).await.peer == client.address()),
        );
    }
    line("accepted", listener.stats().accepted);
}

pub async fn refused(world: &World) {
    let from = |sockets| outcome(&Listener::from_sockets(sockets, None));
    line("none", from(vec![]));
    let three = [world.bound(), world.bound(), world.bound()];
    line("three", from(three.map(without).into()));
    let two = [world.bound(), world.bound()];
    line("no pair", from(two.map(without).into()));
    let unbound = TcpSocket::create(world.family()).expect("a socket");
    line("unbound", from(vec![without(unbound)]));
    let listening = world.bound();
    let connections = listening.listen().expect("it listens");
    line("without its connections", from(vec![without(listening)]));
    let with_others = ListeningSocket {
        socket: world.bound(),
        connections: Some(connections),
    };
    line("with those of another", from(vec![with_others]));
    let listener = world.listener(&options());
    let client = world.client(&listener).await;
    line("connected", from(vec![without(client.socket)]));
}
