//! `from-sockets` with what makes no listener, and with what just about does.

use crate::bindings::evconn::tcp::listener::{Listener, Options};
use crate::bindings::wasi::sockets::network::{IpAddressFamily, IpSocketAddress};
use crate::bindings::wasi::sockets::tcp::TcpSocket;
use crate::net::{
    OWN, Peer, address, binding_socket, bound_socket, connect, connecting_socket, finish_connect,
    free_port, is_free, listen, local_address, port, socket, works,
};
use crate::options::Setting;
use crate::report::{line, outcome};

pub fn all() {
    refuse_lists();
    refuse_states();
    refuse_options();
    take_a_listen_in_progress();
    take_apart_and_put_together();
}

fn from_sockets(what: &str, sockets: Vec<TcpSocket>, options: Option<&Options>) {
    line(what, outcome(&Listener::from_sockets(sockets, options)));
}

/// Bind a socket to each of them, and see that they are free again after the failure.
fn refuse_list(what: &str, ips: &[&str]) {
    let sockets: Vec<_> = ips.iter().map(|ip| bound_socket(address(ip, 0))).collect();
    let local = |socket: &TcpSocket| socket.local_address().expect("an address");
    let addresses: Vec<IpSocketAddress> = sockets.iter().map(local).collect();
    let made = Listener::from_sockets(sockets, None);
    let then: Vec<_> = addresses.into_iter().map(is_free).collect();
    line(what, &format!("{}, {}", outcome(&made), then.join(" ")));
}

fn refuse_lists() {
    from_sockets("no socket", vec![], None);
    refuse_list("three sockets", &[OWN, OWN, OWN]);
    refuse_list("two of IPv4", &[OWN, OWN]);
    let unbound = || socket(IpAddressFamily::Ipv4);
    from_sockets("two unbound", vec![unbound(), unbound()], None);
    if Listener::bind(address("::1", 0), None).is_ok() {
        refuse_list("two ports", &["::1", "127.0.0.1"]);
        refuse_list("two of IPv6", &["::1", "::1"]);
        two_networks();
    } else {
        line("no IPv6", "skipped");
    }
}

/// The same port, but not the same addresses.
fn two_networks() {
    let ipv6 = bound_socket(address("::1", 0));
    let port = port(ipv6.local_address().expect("an address"));
    let ipv4 = bound_socket(address(OWN, port));
    from_sockets("two networks", vec![ipv6, ipv4], None);
    line("the first of them", is_free(address("::1", port)));
    line("the second of them", is_free(address(OWN, port)));
}

fn refuse_states() {
    from_sockets("unbound", vec![socket(IpAddressFamily::Ipv4)], None);

    let taken = address(OWN, free_port());
    let binding = binding_socket(taken);
    from_sockets("bind in progress", vec![binding], None);
    line("its address", is_free(taken));

    let (listener, local) = listen();
    from_sockets("connect in progress", vec![connecting_socket(local)], None);
    let Peer {
        input,
        output,
        socket,
    } = connect(local);
    drop(input);
    drop(output);
    from_sockets("connected", vec![socket], None);
    drop(listener);

    let failed = connecting_socket(local);
    line("connecting to nobody", outcome(&finish_connect(&failed)));
    from_sockets("connect failed", vec![failed], None);
}

fn refuse_options() {
    let cases: [(&str, Setting); 2] = [
        ("reuse-port", |options| options.set_reuse_port(true)),
        ("ipv6-only with IPv4", |options| options.set_ipv6_only(true)),
    ];
    for (what, set) in cases {
        let options = Options::new();
        set(&options);
        let bound = bound_socket(address(OWN, 0));
        let local = bound.local_address().expect("an address");
        from_sockets(what, vec![bound], Some(&options));
        line("its address", is_free(local));
    }
}

fn take_a_listen_in_progress() {
    let socket = bound_socket(address(OWN, 0));
    socket.start_listen().expect("listen started");
    let listener = Listener::from_sockets(vec![socket], None).expect("a listener");
    line("listen in progress", works(&listener));
}

/// Peers wait meanwhile, and it can be done as often as one likes.
fn take_apart_and_put_together() {
    let (mut listener, local) = listen();
    let _peer = connect(local);
    for _ in 0..2 {
        let sockets = Listener::into_sockets(listener);
        assert_eq!(sockets.len(), 1);
        listener = Listener::from_sockets(sockets, None).expect("a listener");
    }
    assert_eq!(port(local_address(&listener)), port(local));
    line("into-sockets and from-sockets", works(&listener));
    drop(Listener::into_sockets(listener));
    line("into-sockets and nothing", is_free(local));
}
