//! A service that forwards each connection to another server, in both directions. The argument is the server,
//! such as `example.com:80`, `192.0.2.1:80` or `[2001:db8::1]:80`.

wit_bindgen::generate!({ path: "../../../wit", world: "evconn:tcp/service", generate_all });

use evconn::tcp::connection::Connection;
use std::net::IpAddr;
use wasi::cli::environment;
use wasi::io::poll::{Pollable, poll};
use wasi::io::streams::StreamError;
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::ip_name_lookup::resolve_addresses;
use wasi::sockets::network::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
    Network,
};
use wasi::sockets::tcp::ShutdownType;
use wasi::sockets::tcp_create_socket::create_tcp_socket;

struct Proxy;

impl exports::evconn::tcp::handler::Guest for Proxy {
    fn handle(client: Connection) -> Result<(), String> {
        let arguments = environment::get_arguments();
        let [name] = &arguments[..] else {
            return Err("it takes one argument, the server to connect to: HOST:PORT".to_owned());
        };
        let server = connect(name).map_err(|error| format!("{name:?}: {error}"))?;
        relay(&client, &server).map_err(|error| match error {
            StreamError::Closed => "a peer is gone".to_owned(),
            StreamError::LastOperationFailed(error) => error.to_debug_string(),
        })
    }
}

/// Connects to the first address of `HOST:PORT` that accepts the connection.
fn connect(name: &str) -> Result<Connection, String> {
    const USAGE: &str = "it is not HOST:PORT";
    let (host, port) = name.rsplit_once(':').ok_or(USAGE)?;
    let port = port.parse().map_err(|_| USAGE)?;
    let in_brackets = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'));

    let network = instance_network();
    let addresses = look_up(&network, in_brackets.unwrap_or(host))
        .map_err(|code| format!("its name cannot be looked up: {}", code.name()))?;
    let mut error = "its name has no address".to_owned();
    for address in addresses {
        match connect_to(&network, socket_address(address, port)) {
            Ok(server) => return Ok(server),
            Err(code) => error = format!("{} cannot be connected to: {}", ip(address), code.name()),
        }
    }
    Err(error)
}

fn look_up(network: &Network, host: &str) -> Result<Vec<IpAddress>, ErrorCode> {
    let answers = resolve_addresses(network, host)?;
    let mut addresses = Vec::new();
    loop {
        match answers.resolve_next_address() {
            Ok(Some(address)) => addresses.push(address),
            Ok(None) => return Ok(addresses),
            Err(ErrorCode::WouldBlock) => answers.subscribe().block(),
            Err(code) => return Err(code),
        }
    }
}

fn connect_to(network: &Network, peer_address: IpSocketAddress) -> Result<Connection, ErrorCode> {
    let socket = create_tcp_socket(match peer_address {
        IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
        IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
    })?;
    socket.start_connect(network, peer_address)?;
    let (input, output) = loop {
        match socket.finish_connect() {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            streams => break streams?,
        }
    };
    Ok(Connection {
        input,
        output,
        socket,
        peer_address,
    })
}

/// Transfers bytes in both directions until both have ended.
fn relay(client: &Connection, server: &Connection) -> Result<(), StreamError> {
    let mut directions = [(client, server), (server, client)].map(|(from, to)| Direction {
        from,
        to,
        has_ended: false,
    });
    loop {
        let mut waits = Vec::new();
        for direction in &mut directions {
            waits.extend(direction.advance()?);
        }
        if waits.is_empty() {
            return Ok(());
        }
        poll(&waits.iter().collect::<Vec<_>>());
    }
}

struct Direction<'a> {
    from: &'a Connection,
    to: &'a Connection,
    has_ended: bool,
}

impl Direction<'_> {
    /// Transfers bytes without waiting. Returns what to wait for, or None if this direction has ended.
    fn advance(&mut self) -> Result<Option<Pollable>, StreamError> {
        let (from, to) = (&self.from.input, &self.to.output);
        if self.has_ended {
            return Ok(None);
        }
        match to.splice(from, u64::MAX).and_then(|_| to.check_write()) {
            // The output accepts no more bytes at the moment.
            Ok(0) => Ok(Some(to.subscribe())),
            Ok(_) => Ok(Some(from.subscribe())),
            Err(StreamError::Closed) => {
                // Forwards the end of the stream. An error means that the peer is gone, which needs no handling.
                let _ = self.to.socket.shutdown(ShutdownType::Send);
                self.has_ended = true;
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }
}

fn socket_address(address: IpAddress, port: u16) -> IpSocketAddress {
    match address {
        IpAddress::Ipv4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }),
        IpAddress::Ipv6(address) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port,
            flow_info: 0,
            address,
            scope_id: 0,
        }),
    }
}

/// Converts to the type of the standard library, for display.
fn ip(address: IpAddress) -> IpAddr {
    match address {
        IpAddress::Ipv4((a, b, c, d)) => [a, b, c, d].into(),
        IpAddress::Ipv6((a, b, c, d, e, f, g, h)) => [a, b, c, d, e, f, g, h].into(),
    }
}

export!(Proxy);
