//! Sockets, addresses and peers, for the misuses to work with.

use crate::bindings::evconn::tcp::listener::{Event, Listener, Options};
use crate::bindings::wasi::io::streams::{InputStream, OutputStream};
use crate::bindings::wasi::sockets::instance_network::instance_network;
use crate::bindings::wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use crate::bindings::wasi::sockets::tcp::TcpSocket;
use crate::bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use std::net::SocketAddr;

/// A loopback address on which no other test listens, so that a port which was closed is free.
pub const OWN: &str = "127.0.77.1";

/// An address in its usual notation.
pub fn address(ip: &str, port: u16) -> IpSocketAddress {
    match SocketAddr::new(ip.parse().expect("an IP address"), port) {
        SocketAddr::V4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port,
            address: address.ip().octets().into(),
        }),
        SocketAddr::V6(address) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port,
            flow_info: 0,
            address: address.ip().segments().into(),
            scope_id: 0,
        }),
    }
}

pub fn port(address: IpSocketAddress) -> u16 {
    match address {
        IpSocketAddress::Ipv4(address) => address.port,
        IpSocketAddress::Ipv6(address) => address.port,
    }
}

/// A listener on a free port of `OWN`, with a callback.
pub fn listen() -> (Listener, IpSocketAddress) {
    let options = Options::new();
    options.set_callback(Some(1));
    let listener = Listener::bind(address(OWN, 0), Some(&options)).expect("a listener");
    let local = local_address(&listener);
    (listener, local)
}

/// The first address of a listener.
pub fn local_address(listener: &Listener) -> IpSocketAddress {
    listener.local_addresses().expect("addresses")[0]
}

/// A port of `OWN` that was free just now.
pub fn free_port() -> u16 {
    port(listen().1)
}

/// Whether one can listen there: if something was left open, one cannot.
pub fn is_free(address: IpSocketAddress) -> &'static str {
    match Listener::bind(address, None) {
        Ok(_) => "free",
        Err(code) => code.name(),
    }
}

pub fn socket(family: IpAddressFamily) -> TcpSocket {
    create_tcp_socket(family).expect("a socket")
}

/// A socket whose `finish-bind` is still to come.
pub fn binding_socket(address: IpSocketAddress) -> TcpSocket {
    let socket = socket(match address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    });
    socket
        .start_bind(&instance_network(), address)
        .expect("bind started");
    socket
}

pub fn bound_socket(address: IpSocketAddress) -> TcpSocket {
    let socket = binding_socket(address);
    socket.finish_bind().expect("bound");
    socket
}

/// A socket that was told to connect.
pub fn connecting_socket(to: IpSocketAddress) -> TcpSocket {
    let socket = socket(IpAddressFamily::Ipv4);
    socket
        .start_connect(&instance_network(), to)
        .expect("connect started");
    socket
}

/// Wait for the end of connecting, whichever it is.
pub fn finish_connect(socket: &TcpSocket) -> Result<(InputStream, OutputStream), ErrorCode> {
    loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result,
        }
    }
}

/// The fields in the order in which they have to be dropped.
pub struct Peer {
    pub input: InputStream,
    pub output: OutputStream,
    pub socket: TcpSocket,
}

/// Connect to a listener: the kernel completes that, whatever the listener does.
pub fn connect(to: IpSocketAddress) -> Peer {
    let socket = connecting_socket(to);
    let (input, output) = finish_connect(&socket).expect("connected");
    Peer {
        input,
        output,
        socket,
    }
}

/// Whether a listener, if it is enabled, delivers a new peer.
pub fn works(listener: &Listener) -> &'static str {
    listener.set_callback(Some(1));
    let _peer = connect(local_address(listener));
    let events = listener.wait_events(1, None);
    match events[..] {
        [Event::Connection(_)] => "works",
        _ => "does not work",
    }
}

/// Tell the program that listens on `control` on which port this one does, and send one peer back
/// what it sends first.
pub fn serve_one(control: &str) {
    let control: SocketAddr = control.parse().expect("an address");
    let (listener, local) = listen();
    let control = connect(address(&control.ip().to_string(), control.port()));
    let told = format!("{OWN}:{}\n", port(local));
    let told = control.output.blocking_write_and_flush(told.as_bytes());
    told.expect("sent");
    for event in listener.wait_events(1, None) {
        if let Event::Connection(event) = event {
            let bytes = event.connection.input.blocking_read(4096).expect("bytes");
            let sent = event.connection.output.blocking_write_and_flush(&bytes);
            sent.expect("sent back");
        }
    }
}
