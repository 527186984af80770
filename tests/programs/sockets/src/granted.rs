//! What a program can do of the network by what it was granted: each case says what came of it.

use crate::bindings::wasi::clocks::monotonic_clock::subscribe_duration;
use crate::bindings::wasi::sockets::instance_network::instance_network;
use crate::bindings::wasi::sockets::network::ErrorCode;
use crate::bindings::wasi::sockets::tcp::TcpSocket;
use crate::bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::bindings::wasi::sockets::udp::{
    IncomingDatagram, IpAddressFamily, OutgoingDatagram, UdpSocket,
};
use crate::bindings::wasi::sockets::udp_create_socket::create_udp_socket;
use crate::net::{self, Run, accept, connect, local, remote};
use crate::report::{line, outcome, same, wait_for_host};
use std::net::SocketAddr;

crate::cases!(
    listens, pairs, waits, connects, asks, answers, binds_udp, grows, holds
);

/// Stands for the port that the first socket got.
const SAME_PORT: u16 = 1;

fn family(address: SocketAddr) -> IpAddressFamily {
    match address {
        SocketAddr::V4(_) => IpAddressFamily::Ipv4,
        SocketAddr::V6(_) => IpAddressFamily::Ipv6,
    }
}

/// Bind a socket to each address, then have each listen.
fn listens(run: &Run) {
    let mut port = None;
    let mut bound = Vec::new();
    for asked in &run.addresses {
        let mut address = *asked;
        if address.port() == SAME_PORT {
            address.set_port(port.unwrap_or_default());
        }
        match create_tcp_socket(family(address)) {
            Ok(socket) => match net::bind(&socket, address) {
                Ok(()) => {
                    port.get_or_insert(local(&socket).port());
                    bound.push(socket);
                }
                Err(code) => line(&format!("bind {}", address.ip()), code.name()),
            },
            Err(code) => line("create", code.name()),
        }
    }
    for socket in &bound {
        match net::listen(socket) {
            Ok(()) => line("listening", local(socket)),
            Err(code) => line("listen", code.name()),
        }
    }
    wait_for_host();
}

/// A pair of sockets, as Python makes one.
fn pairs(run: &Run) {
    let listener = match create_tcp_socket(run.family()) {
        Ok(socket) => socket,
        Err(code) => return line("create", code.name()),
    };
    line("bind", outcome(&net::bind(&listener, run.any_port())));
    line("listen", outcome(&net::listen(&listener)));
    let client = run.socket();
    let (input, output) = connect(&client, local(&listener)).expect("connected to itself");
    drop(input);
    let server = accept(&listener).expect("accepted");
    let is_it = remote(&server.socket) == local(&client);
    line("peer", same(is_it));
    output.blocking_write_and_flush(b"hello").expect("sent");
    line(
        "received",
        String::from_utf8_lossy(&server.receive(5)).into_owned(),
    );
    drop(output);
}

/// Listen on a free port, and connect to that after the host has tried.
fn waits(run: &Run) {
    let listener = run.listening();
    line("listening", local(&listener));
    wait_for_host();
    let client = run.connected(local(&listener));
    let accepted = accept(&listener).expect("accepted");
    let is_it = remote(&accepted.socket) == local(&client.socket);
    line("peer", same(is_it));
}

fn connects(run: &Run) {
    for address in &run.addresses {
        let socket: TcpSocket = create_tcp_socket(family(*address)).expect("a socket");
        line("connect", outcome(&connect(&socket, *address)));
    }
}

/// Send a datagram to each address, and say what is answered.
fn asks(run: &Run) {
    for address in &run.addresses {
        let socket = match create_udp_socket(family(*address)) {
            Ok(socket) => socket,
            Err(code) => {
                line("create", code.name());
                continue;
            }
        };
        match ask(&socket, *address) {
            Ok(answer) => line("answer", text(&answer)),
            Err(code) => line("send", code.name()),
        }
    }
}

fn ask(socket: &UdpSocket, to: SocketAddr) -> Result<IncomingDatagram, ErrorCode> {
    let any = SocketAddr::new(
        match to {
            SocketAddr::V4(_) => std::net::Ipv4Addr::UNSPECIFIED.into(),
            SocketAddr::V6(_) => std::net::Ipv6Addr::UNSPECIFIED.into(),
        },
        0,
    );
    bind(socket, any)?;
    send(socket, to, b"hello")?;
    receive(socket)
}

/// Answer one datagram.
fn answers(run: &Run) {
    for address in &run.addresses {
        let socket = create_udp_socket(family(*address)).expect("a socket");
        if let Err(code) = bind(&socket, *address) {
            line("bind", code.name());
            continue;
        }
        line("bound", net::std(socket.local_address().expect("its own")));
        let datagram = receive(&socket).expect("a datagram");
        let from = net::std(datagram.remote_address);
        let answer = format!("you said {}", text(&datagram));
        line("sent", outcome(&send(&socket, from, answer.as_bytes())));
    }
}

fn binds_udp(run: &Run) {
    for address in &run.addresses {
        let bound = create_udp_socket(family(*address)).and_then(|socket| bind(&socket, *address));
        line("bind", outcome(&bound));
    }
}

fn bind(socket: &UdpSocket, to: SocketAddr) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), net::wit(to))?;
    loop {
        match socket.finish_bind() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result,
        }
    }
}

fn send(socket: &UdpSocket, to: SocketAddr, bytes: &[u8]) -> Result<(), ErrorCode> {
    let (_incoming, outgoing) = socket.stream(None)?;
    let datagram = OutgoingDatagram {
        data: bytes.to_vec(),
        remote_address: Some(net::wit(to)),
    };
    loop {
        match outgoing.check_send()? {
            0 => outgoing.subscribe().block(),
            _ => match outgoing.send(std::slice::from_ref(&datagram)) {
                Ok(0) | Err(ErrorCode::WouldBlock) => {}
                result => return result.map(|_| ()),
            },
        }
    }
}

fn receive(socket: &UdpSocket) -> Result<IncomingDatagram, ErrorCode> {
    let (incoming, _outgoing) = socket.stream(None)?;
    loop {
        match incoming.receive(1)?.pop() {
            Some(datagram) => return Ok(datagram),
            None => incoming.subscribe().block(),
        }
    }
}

fn text(datagram: &IncomingDatagram) -> String {
    String::from_utf8_lossy(&datagram.data).into_owned()
}

/// 16 MiB more memory.
fn grows(_run: &Run) {
    let grown = Vec::<u8>::new().try_reserve_exact(16 << 20);
    line("grown", if grown.is_ok() { "yes" } else { "no" });
}

/// A hundred handles.
fn holds(_run: &Run) {
    let held: Vec<_> = (0..100).map(|_| subscribe_duration(1)).collect();
    line("held", held.len());
}
