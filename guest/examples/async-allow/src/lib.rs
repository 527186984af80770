//! A filter that decides which peers are served, by their addresses, and does no more:
//! `evconn serve APP.wasm --through async-allow.wasm --env ALLOWED=192.0.2.1,2001:db8::1`.
//!
//! It returns what the next handler returns, so that no byte passes through it.

wit_bindgen::generate!({ path: "../../../wit/v0.3", world: "evconn:tcp/middleware", generate_all });

use evconn::tcp::handler::handle;
use evconn::tcp::types::{Connection, ErrorCode};
use exports::evconn::tcp::handler::Guest;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use wasi::cli::environment::get_environment;
use wasi::sockets::types::IpSocketAddress;
use wit_bindgen::{FutureReader, StreamReader};

struct Allow;

impl Guest for Allow {
    async fn handle(
        connection: Connection,
        received: StreamReader<u8>,
        ended: FutureReader<Result<(), ErrorCode>>,
    ) -> Result<(StreamReader<u8>, FutureReader<Result<(), ErrorCode>>), ErrorCode> {
        if is_allowed(ip(connection.peer_address())) {
            handle(connection, received, ended).await
        } else {
            Err(ErrorCode::AccessDenied)
        }
    }
}

/// Returns whether the environment names this address.
fn is_allowed(peer: IpAddr) -> bool {
    let variables = get_environment().into_iter();
    variables
        .filter(|(name, _)| name == "ALLOWED")
        .flat_map(|(_, list)| {
            let addresses = list.split(',').map(|text| text.trim().parse::<IpAddr>());
            addresses.flatten().collect::<Vec<_>>()
        })
        .any(|allowed| allowed == peer)
}

fn ip(address: IpSocketAddress) -> IpAddr {
    match address {
        IpSocketAddress::Ipv4(address) => {
            let (a, b, c, d) = address.address;
            Ipv4Addr::new(a, b, c, d).into()
        }
        IpSocketAddress::Ipv6(address) => {
            let (a, b, c, d, e, f, g, h) = address.address;
            Ipv6Addr::new(a, b, c, d, e, f, g, h).into()
        }
    }
}

export!(Allow);
