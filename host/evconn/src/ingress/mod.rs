//! The ingress: what happens to a connection after it was accepted and before a service gets it.
//!
//! The order is fixed. A PROXY protocol header comes first, in plain text. Then the peer's address is
//! known, and the server decides whether that peer may connect. The TLS handshake comes last. The header
//! and the handshake each have their own timeout.
//!
//! The caller runs the ingress of each connection in a task of its own, since a peer may be slow, and
//! logs and closes the connections that were refused.

mod proxy;
mod receive;
mod refused;
#[cfg(feature = "tls")]
mod tls;

pub use proxy::{ProxyProtocol, TrustedProxies};
pub(crate) use refused::Refused;
#[cfg(feature = "tls")]
pub use tls::{PemSource, TicketKeys, TlsConfig, TlsError};

use crate::Connection;
use crate::sockets::Endpoint;
use std::io;

/// The steps that every connection goes through before its service gets it. Defaults to none.
///
/// A service runs its ingress for each connection:
/// [`Service::with_ingress`](crate::Service::with_ingress). A native callback calls
/// [`accept`](Self::accept).
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
    /// Returns an ingress without any steps: connections are used as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Expects each connection to begin with a PROXY protocol header, which names the peer.
    pub fn proxy_protocol(mut self, proxy: ProxyProtocol) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Encrypts connections with TLS: the service reads and writes plain text.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Returns the TLS configuration, if there is one: in order to reload the certificate, for example.
    #[cfg(feature = "tls")]
    pub fn tls_config(&self) -> Option<&TlsConfig> {
        self.tls.as_ref()
    }

    /// Runs the ingress for a connection. The peer may take as long as the timeouts allow.
    ///
    /// # Errors
    /// Why the connection was refused; it is closed then. The kinds are `PermissionDenied` if it does not
    /// come from a trusted proxy, `TimedOut`, `UnexpectedEof` if the peer closed it, `InvalidData` if the
    /// header is invalid or the peer does not speak TLS, or those of the operating system.
    pub async fn accept(&self, connection: Connection) -> io::Result<Connection> {
        self.identify(connection.endpoint()).await?;
        self.encrypt(connection.endpoint()).await?;
        Ok(connection)
    }

    /// Determines the peer of a connection of which nothing has been read yet. From then on, the
    /// connection reports this peer's address.
    pub(crate) async fn identify(&self, endpoint: &Endpoint) -> Result<(), Refused> {
        match &self.proxy {
            None => Ok(()),
            // Boxed, so that the futures of connections without a proxy stay small.
            Some(proxy) => Box::pin(announce(proxy, endpoint)).await,
        }
    }

    /// Encrypts the connection, if TLS is configured. Its peer has to be identified before.
    ///
    /// A refused peer has been sent an alert, if possible. The caller closes the connection.
    #[cfg(feature = "tls")]
    pub(crate) async fn encrypt(&self, endpoint: &Endpoint) -> Result<(), Refused> {
        match &self.tls {
            None => Ok(()),
            Some(config) => Box::pin(encrypt(config, endpoint)).await,
        }
    }

    /// Does nothing: the library was built without TLS.
    #[cfg(not(feature = "tls"))]
    pub(crate) async fn encrypt(&self, _endpoint: &Endpoint) -> Result<(), Refused> {
        Ok(())
    }

    /// Returns whether connections are encrypted.
    #[cfg(feature = "tls")]
    pub(crate) fn has_tls(&self) -> bool {
        self.tls.is_some()
    }

    /// Returns false: the library was built without TLS.
    #[cfg(not(feature = "tls"))]
    pub(crate) fn has_tls(&self) -> bool {
        false
    }

    /// Returns whether a proxy announces the peers.
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
