//! `start-bind` and `finish-bind`.

use crate::net::{Run, accept, bind, listen, local, start_bind};
use crate::report::{line, outcome, same, yes};
use std::net::SocketAddr;

crate::cases!(
    a_port_is_chosen,
    any_address,
    port_in_use,
    bound_but_not_listening,
    refused_addresses,
    of_another_machine,
    twice,
    again_after_failure,
    port_in_time_wait,
    denied,
    both_families
);

fn a_port_is_chosen(run: &Run) {
    let (first, second) = (run.bound(), run.bound());
    let ports = [local(&first).port(), local(&second).port()];
    line("chosen", yes(ports.iter().all(|port| *port != 0)));
    line("two of them are", same(ports[0] == ports[1]));
    line("address", same(local(&first).ip() == run.ip));
}

fn any_address(run: &Run) {
    let socket = run.socket();
    let any = run.choose("0.0.0.0", "::");
    line("bind", outcome(&bind(&socket, SocketAddr::new(any, 0))));
    listen(&socket).expect("it listens");
    line("address", same(local(&socket).ip() == any));
    let client = run.connected(run.port(local(&socket).port()));
    let server = accept(&socket).expect("accepted");
    line("accepted on", same(local(&server.socket).ip() == run.ip));
    drop(client);
}

fn port_in_use(run: &Run) {
    let first = run.listening();
    let second = run.socket();
    line("bind", outcome(&bind(&second, local(&first))));
    drop(first);
}

/// What SO_REUSEADDR is for on Linux, and what it does besides: the first that listens has it.
fn bound_but_not_listening(run: &Run) {
    let first = run.bound();
    let second = run.socket();
    let taken = bind(&second, local(&first)).and_then(|()| listen(&second));
    line("the second", outcome(&taken));
    line("the first", outcome(&listen(&first)));
}

/// Each on a new socket, which can then be bound all the same.
fn refused_addresses(run: &Run) {
    for ip in [
        run.choose("::1", "127.0.0.1"),
        run.choose("224.0.0.1", "ff02::1"),
        run.choose("239.255.255.255", "ff0e::1"),
        run.choose("255.255.255.255", "::ffff:127.0.0.1"),
        run.choose("255.255.255.255", "::ffff:0.0.0.0"),
    ] {
        let socket = run.socket();
        let refused = bind(&socket, SocketAddr::new(ip, 0));
        let then = bind(&socket, run.any_port());
        let outcomes = format!("{}, then {}", outcome(&refused), outcome(&then));
        line(&ip.to_string(), outcomes);
    }
}

fn of_another_machine(run: &Run) {
    let socket = run.socket();
    let address = SocketAddr::new(run.choose("203.0.113.1", "2001:db8::1"), 0);
    line("bind", outcome(&bind(&socket, address)));
}

fn twice(run: &Run) {
    let socket = run.bound();
    let address = local(&socket);
    line("bind", outcome(&bind(&socket, run.any_port())));
    line("the same", outcome(&bind(&socket, address)));
    line("address", same(local(&socket) == address));
}

fn again_after_failure(run: &Run) {
    let taken = run.listening();
    let socket = run.socket();
    line("in use", outcome(&bind(&socket, local(&taken))));
    line("local-address", outcome(&socket.local_address()));
    let address = SocketAddr::new(run.choose("203.0.113.1", "2001:db8::1"), 0);
    line("not ours", outcome(&bind(&socket, address)));
    line("a good one", outcome(&bind(&socket, run.any_port())));
    line("it listens", outcome(&listen(&socket)));
}

/// The server closes first: its end is in TIME_WAIT, on the listener's port.
fn port_in_time_wait(run: &Run) {
    let listener = run.listening();
    let address = local(&listener);
    let client = run.connected(address);
    drop(accept(&listener).expect("accepted"));
    client.receive_all();
    drop((client, listener));
    let again = run.socket();
    line("bind", outcome(&bind(&again, address)));
    line("listen", outcome(&listen(&again)));
}

fn denied(run: &Run) {
    let socket = run.socket();
    line("bind", outcome(&bind(&socket, run.port(1))));
    line("another", outcome(&start_bind(&socket, run.any_port())));
}

/// An IPv6 socket takes nothing from IPv4, so that both can have the port.
fn both_families(run: &Run) {
    let ipv6 = run.socket();
    let any = run.choose("0.0.0.0", "::");
    bind(&ipv6, SocketAddr::new(any, 0)).expect("bound");
    listen(&ipv6).expect("it listens");
    let other = Run {
        ip: run.choose("::1", "127.0.0.1"),
        addresses: vec![],
    };
    let ipv4 = other.socket();
    let any = other.choose("0.0.0.0", "::");
    let address = SocketAddr::new(any, local(&ipv6).port());
    line("bind", outcome(&bind(&ipv4, address)));
    line("listen", outcome(&listen(&ipv4)));
}
