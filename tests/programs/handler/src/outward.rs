//! A service's own connections, and the names that it has resolved.

use crate::wasi::sockets::instance_network::instance_network;
use crate::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use crate::wasi::sockets::tcp_create_socket::create_tcp_socket;

/// The addresses of a name, sorted; or why not.
pub fn resolve(name: &str) -> String {
    match addresses(name) {
        Ok(addresses) => {
            let mut shown: Vec<_> = addresses.into_iter().map(show).collect();
            shown.sort();
            shown.join(" ") + "\n"
        }
        Err(code) => format!("{}\n", code.name()),
    }
}

/// Ask for a name that is not granted, again and again.
pub fn be_denied(times: u32) -> String {
    let is_denied = |_: &u32| {
        matches!(
            addresses("db.example"),
            Err(ErrorCode::PermanentResolverFailure)
        )
    };
    format!("{} times\n", (0..times).filter(is_denied).count())
}

/// Connect to a name or an address, send a line, and say what comes back; or why not.
pub fn connect(host: &str, port: u16, line: &str) -> String {
    match addresses(host).and_then(|addresses| exchange(&addresses, port, line)) {
        Ok(answer) => answer,
        Err(code) => format!("{}\n", code.name()),
    }
}

fn addresses(name: &str) -> Result<Vec<IpAddress>, ErrorCode> {
    let found = resolve_addresses(&instance_network(), name)?;
    let ready = found.subscribe();
    let mut addresses = Vec::new();
    loop {
        match found.resolve_next_address() {
            Ok(Some(address)) => addresses.push(address),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => ready.block(),
            Err(code) => return Err(code),
        }
    }
}

/// With the first address that can be connected to.
fn exchange(addresses: &[IpAddress], port: u16, line: &str) -> Result<String, ErrorCode> {
    let mut result = Err(ErrorCode::NameUnresolvable);
    for address in addresses {
        result = exchange_with(*address, port, line);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn exchange_with(address: IpAddress, port: u16, line: &str) -> Result<String, ErrorCode> {
    let (family, address) = match address {
        IpAddress::Ipv4(address) => {
            let address = Ipv4SocketAddress { port, address };
            (IpAddressFamily::Ipv4, IpSocketAddress::Ipv4(address))
        }
        IpAddress::Ipv6(address) => {
            let (flow_info, scope_id) = (0, 0);
            let address = Ipv6SocketAddress {
                port,
                flow_info,
                address,
                scope_id,
            };
            (IpAddressFamily::Ipv6, IpSocketAddress::Ipv6(address))
        }
    };
    let socket = create_tcp_socket(family)?;
    socket.start_connect(&instance_network(), address)?;
    let ready = socket.subscribe();
    let (input, output) = loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => ready.block(),
            result => break result?,
        }
    };
    let line = format!("{line}\n");
    output
        .blocking_write_and_flush(line.as_bytes())
        .map_err(|_| ErrorCode::ConnectionReset)?;
    Ok(crate::read_line(&input) + "\n")
}

fn show(address: IpAddress) -> String {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => std::net::Ipv4Addr::new(a, b, c, d).to_string(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => {
            std::net::Ipv6Addr::new(a, b, c, d, e, f, g, h).to_string()
        }
    }
}
