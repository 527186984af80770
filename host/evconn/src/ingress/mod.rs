//! The ingress: what happens to a connection after it was accepted and before its service gets it.
//!
//! The order is fixed: a header of the PROXY protocol comes in plain text before the first byte of
//! TLS. In between, when it is known who the peer is, a server decides whether it may connect. Each of
//! the two has a deadline of its own. Where it ends: whoever accepts connections has each prepared in a task of its own, since a
//! peer may take its time, and logs and closes what was refused.

mod proxy;
mod receive;
mod refused;
#[cfg(feature = "tls")]
mod tls;

pub use proxy::{ProxyProtocol, TrustedProxies};
pub(crate) use refused::Refused;
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsError};

use crate::Connection;
use crate::sockets::Endpoint;
use std::io;

/// What every connection goes through before its service gets it. By default: nothing.
///
/// A service has it done for each connection: [`Service::with_ingress`](crate::Service::with_ingress). A
/// native callback calls [`accept`](Self::accept).
///
/// ```no_run
/// # async fn example(listener: evconn::Listener) -> Result<(), Box<dyn std::error::Error>> {
/// use evconn::{Ingress, ProxyProtocol, TrustedProxies};
///
/// let proxies = TrustedProxies::none().network("10.0.0.0/8")?;
/// let ingress = Ingress::new().proxy_protocol(ProxyProtocol::new(proxies));
/// listener.set_async_callback(move |_listener, connection| {
///     let ingress = ingress.clone();
///     async move {
///         match ingress.accept(connection).await {
///             Ok(connection) => println!("{} is connected", connection.peer_addr()),
///             Err(error) => eprintln!("refused: {error}"),
///         }
///     }
/// });
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Ingress {
    proxy: Option<ProxyProtocol>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
}

impl Ingress {
    /// Nothing: connections are used as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every connection begins with a header of the PROXY protocol, which says who its peer is.
    pub fn proxy_protocol(mut self, proxy: ProxyProtocol) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Connections are encrypted: what is read and written is the plain text.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// The TLS that it speaks, if it does: to have the certificate read again, for instance.
    #[cfg(feature = "tls")]
    pub fn tls_config(&self) -> Option<&TlsConfig> {
        self.tls.as_ref()
    }

    /// Take a connection through it. The peer may take as long as the timeouts allow.
    ///
    /// # Errors
    /// Why the connection was refused. It is closed then. The kinds are `PermissionDenied` for one
    /// that comes from no trusted proxy, `TimedOut`, `UnexpectedEof` if the peer closed it,
    /// `InvalidData` for what is no header or no TLS, or those of the operating system.
    pub async fn accept(&self, connection: Connection) -> io::Result<Connection> {
        self.identify(connection.endpoint()).await?;
        self.encrypt(connection.endpoint()).await?;
        Ok(connection)
    }

    /// Learn who the peer of a connection is, of which nothing was read yet: from here on, its address is
    /// the right one.
    pub(crate) async fn identify(&self, endpoint: &Endpoint) -> Result<(), Refused> {
        match &self.proxy {
            None => Ok(()),
            // In a box: a connection that needs none of it is not to carry the room for it.
            Some(proxy) => Box::pin(announce(proxy, endpoint)).await,
        }
    }

    /// Have a connection, whose peer was identified, encrypted if it is to be.
    ///
    /// The peer of what is refused has been told so, where there is a way to; closing it is left to
    /// the caller.
    #[cfg(feature = "tls")]
    pub(crate) async fn encrypt(&self, endpoint: &Endpoint) -> Result<(), Refused> {
        match &self.tls {
            None => Ok(()),
            Some(config) => Box::pin(encrypt(config, endpoint)).await,
        }
    }

    /// There is nothing to encrypt with.
    #[cfg(not(feature = "tls"))]
    pub(crate) async fn encrypt(&self, _endpoint: &Endpoint) -> Result<(), Refused> {
        Ok(())
    }

    /// Whether peers are announced by a proxy, rather than be who connects.
    pub(crate) fn has_proxy(&self) -> bool {
        self.proxy.is_some()
    }
}

async fn announce(proxy: &ProxyProtocol, endpoint: &Endpoint) -> Result<(), Refused> {
    let proxy_address = endpoint.peer_address();
    let announced = proxy.announced(endpoint.plain(), proxy_address).await?;
    if let Some(peer) = announced {
        tracing::debug!(%peer, proxy = %proxy_address, "announced by its proxy");
        endpoint.announce_peer(peer);
    }
    Ok(())
}

#[cfg(feature = "tls")]
async fn encrypt(config: &TlsConfig, endpoint: &Endpoint) -> Result<(), Refused> {
    let session = tls::handshake(endpoint.plain(), config).await?;
    let peer = endpoint.peer_address();
    tracing::debug!(%peer, "handshake done: {}", tls::described(&session));
    endpoint.encrypt(session);
    Ok(())
}
