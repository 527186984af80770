//! Listeners on several addresses with one port: the addresses of a host name.

use super::{Listener, ListenerBuilder};
use crate::{Error, ErrorCode};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, UdpSocket};

/// How many ports, chosen by the kernel for the first address, are tried for the other addresses.
const PORT_ATTEMPTS: u32 = 16;

/// Binds a listener to each address: at least one. All have the same port, even if it is 0. An address of
/// a family that this machine does not support is left out, unless there is no other.
///
/// # Errors
/// The error of one address, which it names. Nothing is left open then.
pub(super) async fn bind_all(
    builder: &ListenerBuilder,
    addresses: &[SocketAddr],
) -> Result<Vec<Listener>, Error> {
    let any_port = addresses.iter().all(|address| address.port() == 0);
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut listeners = Vec::new();
        let Err(error) = bind_each(builder, addresses, &mut listeners).await else {
            return Ok(listeners);
        };
        // The port is free for the first address, but not for this one: try another port for all.
        let is_in_use = matches!(
            error,
            Error::Address {
                code: ErrorCode::AddressInUse,
                ..
            }
        );
        let again = any_port && is_in_use && !listeners.is_empty() && attempt < PORT_ATTEMPTS;
        close(&listeners).await;
        if !again {
            return Err(error);
        }
    }
}

async fn bind_each(
    builder: &ListenerBuilder,
    addresses: &[SocketAddr],
    listeners: &mut Vec<Listener>,
) -> Result<(), Error> {
    let mut left_out = None;
    for address in addresses {
        let mut address = *address;
        if let Some(first) = listeners.first() {
            address.set_port(first.local_addr().port());
        }
        let code = match builder.clone().bind(address).await {
            Ok(listener) => {
                listeners.push(listener);
                continue;
            }
            Err(Error::Socket(code)) => code,
            Err(error) => return Err(error),
        };
        let error = Error::Address { address, code };
        if !is_for_want_of_family(address, code) {
            return Err(error);
        }
        let family = family(address);
        tracing::info!("not listening on {address}: this machine has no {family} ({code})");
        left_out.get_or_insert(error);
    }
    match left_out {
        Some(error) if listeners.is_empty() => Err(error),
        _ => Ok(()),
    }
}

/// Closes the listeners, and waits until they are closed.
async fn close(listeners: &[Listener]) {
    for listener in listeners {
        listener.close();
    }
    for listener in listeners {
        listener.closed().await;
    }
}

/// Returns whether an address cannot be bound because the machine does not support its family: not even
/// that of the loopback interface.
fn is_for_want_of_family(address: SocketAddr, code: ErrorCode) -> bool {
    let loopback: IpAddr = match address {
        SocketAddr::V4(_) => Ipv4Addr::LOCALHOST.into(),
        SocketAddr::V6(_) => Ipv6Addr::LOCALHOST.into(),
    };
    let may_be = matches!(
        code,
        ErrorCode::NotSupported | ErrorCode::AddressNotBindable
    );
    may_be && UdpSocket::bind((loopback, 0)).is_err()
}

fn family(address: SocketAddr) -> &'static str {
    match address {
        SocketAddr::V4(_) => "IPv4",
        SocketAddr::V6(_) => "IPv6",
    }
}
