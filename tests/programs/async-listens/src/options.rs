//! Options.

use crate::world::{World, accept, line, local, options, outcome, yes};
use evconn_guest::p3::bindings::command::evconn::tcp::listener::{Listener, Options};
use evconn_guest::p3::bindings::wasi::sockets::types::{
    IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};

pub async fn invalid(world: &World) {
    let options = Options::new();
    line("backlog 0", outcome(&options.set_backlog(0)));
    line("backlog 1", outcome(&options.set_backlog(1)));
    line("hold none", outcome(&options.set_deferred_accept(0, 1)));
    line("for no time", outcome(&options.set_deferred_accept(1, 0)));
    options.set_ipv6_only(true);
    let listener = Listener::bind(ipv4(0), Some(&options));
    line("ipv6-only", outcome(&listener));
    let options = Options::new();
    options.set_dual_stack(true);
    line(
        "dual-stack",
        outcome(&Listener::bind(ipv4(0), Some(&options))),
    );
    let options = Options::new();
    options.set_reuse_port(true);
    line(
        "reuse-port",
        outcome(&Listener::bind(world.at(0), Some(&options))),
    );
    let listener = Listener::bind(world.at(0), None).expect("a listener");
    let again = Listener::bind(local(&listener).remove(0), None);
    line("again", outcome(&again));
}

fn ipv4(port: u16) -> IpSocketAddress {
    IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port,
        address: (127, 0, 0, 1),
    })
}

/// One port, both addresses, and the sockets alternate.
pub async fn dual_stack(world: &World) {
    let options = options();
    options.set_dual_stack(true);
    let ipv6 = IpSocketAddress::Ipv6(Ipv6SocketAddress {
        port: 0,
        flow_info: 0,
        address: (0, 0, 0, 0, 0, 0, 0, 1),
        scope_id: 0,
    });
    let listener = Listener::bind(ipv6, Some(&options)).expect("a listener");
    let addresses = local(&listener);
    let [IpSocketAddress::Ipv6(first), IpSocketAddress::Ipv4(second)] = addresses[..] else {
        panic!("{addresses:?}");
    };
    line("one port", yes(first.port == second.port));
    let mut clients = Vec::new();
    for _ in 0..2 {
        for address in &addresses {
            clients.push(world.connect(*address).await.expect("connected"));
        }
    }
    let mut order = String::new();
    for _ in 0..4 {
        let accepted = accept(&listener).await;
        order.push(if accepted.peer.contains("Ipv6") {
            '6'
        } else {
            '4'
        });
    }
    line("alternate", yes(["6464", "4646"].contains(&&order[..])));
}
