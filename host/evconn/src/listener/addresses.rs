//! Listeners on several addresses with one port: the addresses of a host name.

use super::rules::OnePort;
use super::{Listener, ListenerBuilder};
use crate::Error;
use std::net::SocketAddr;

/// Binds a listener to each address: at least one. All have the same port, even if it is 0. An address of
/// a family that this machine does not support is left out, unless there is no other.
///
/// # Errors
/// The error of one address, which it names. Nothing is left open then.
pub(super) async fn bind_all(
    builder: &ListenerBuilder,
    addresses: &[SocketAddr],
) -> Result<Vec<Listener>, Error> {
    let mut attempt = 0;
    loop {
        attempt += 1;
        let mut one_port = OnePort::new();
        let Err(error) = bind_each(builder, addresses, &mut one_port).await else {
            return Ok(one_port.opened);
        };
        let again = one_port.wants_another_port(addresses, &error, attempt);
        close(&one_port.opened).await;
        if !again {
            return Err(error);
        }
    }
}

async fn bind_each(
    builder: &ListenerBuilder,
    addresses: &[SocketAddr],
    one_port: &mut OnePort<Listener>,
) -> Result<(), Error> {
    for address in addresses {
        let address = one_port.with_port(*address);
        match builder.clone().bind(address).await {
            Ok(listener) => one_port.opened(listener.local_addr(), listener),
            Err(Error::Socket(code)) => one_port.failed(address, code)?,
            Err(error) => return Err(error),
        }
    }
    one_port.check()
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
