//! Sockets of both versions of WASI in one component.

use evconn_guest::p3::TcpStream;
use evconn_guest::wasi::sockets::instance_network::instance_network;
use evconn_guest::wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress,
};
use evconn_guest::wasi::sockets::tcp_create_socket::create_tcp_socket;
use std::io;
use std::net::SocketAddrV4;

/// Connects to an address by each of them, and says what came of it.
pub async fn connect(address: &str) -> io::Result<String> {
    let address: SocketAddrV4 = address.parse().map_err(io::Error::other)?;
    let old = match connect_old(address) {
        Ok(()) => "connected".to_owned(),
        Err(ErrorCode::AccessDenied) => "denied".to_owned(),
        Err(other) => other.to_string(),
    };
    let new = match TcpStream::connect_to(address.into()).await {
        Ok(_) => "connected".to_owned(),
        Err(error) if error.kind() == io::ErrorKind::PermissionDenied => "denied".to_owned(),
        Err(other) => other.to_string(),
    };
    Ok(format!("0.2 {old}, 0.3 {new}\n"))
}

fn connect_old(to: SocketAddrV4) -> Result<(), ErrorCode> {
    let [a, b, c, d] = to.ip().octets();
    let address = IpSocketAddress::Ipv4(Ipv4SocketAddress {
        port: to.port(),
        address: (a, b, c, d),
    });
    let socket = create_tcp_socket(IpAddressFamily::Ipv4)?;
    socket.start_connect(&instance_network(), address)?;
    socket.subscribe().block();
    // The streams go before their socket.
    drop(socket.finish_connect()?);
    Ok(())
}
