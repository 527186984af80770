//! The edge: what happens to a connection after it was accepted and before its service gets it.
//!
//! The order is fixed: a header of the PROXY protocol comes in plain text before the first byte of
//! TLS. Where it ends: whoever accepts connections calls [`Edge::prepare`] for each, in a task of
//! its own, since a peer may take its time; it logs and closes what was refused.

mod plain;
mod proxy;
mod receive;
mod refused;
#[cfg(feature = "tls")]
mod tls;

pub(crate) use plain::Plain;
pub use proxy::{InvalidNetwork, ProxyProtocol, TrustedProxies};
pub(crate) use refused::Refused;
#[cfg(feature = "tls")]
pub(crate) use tls::TlsSession;
#[cfg(feature = "tls")]
pub use tls::{TlsConfig, TlsError};

use std::net::SocketAddr;

/// What every connection of a listener goes through before its service gets it. By default:
/// nothing.
#[derive(Clone, Debug, Default)]
pub struct Edge {
    proxy: Option<ProxyProtocol>,
    #[cfg(feature = "tls")]
    tls: Option<TlsConfig>,
}

impl Edge {
    /// Nothing: the service gets connections as they are.
    pub fn new() -> Self {
        Self::default()
    }

    /// Every connection begins with a header of the PROXY protocol, which says who its peer is.
    pub fn proxy_protocol(mut self, proxy: ProxyProtocol) -> Self {
        self.proxy = Some(proxy);
        self
    }

    /// Connections are encrypted: the service gets and gives the plain text.
    #[cfg(feature = "tls")]
    pub fn tls(mut self, tls: TlsConfig) -> Self {
        self.tls = Some(tls);
        self
    }

    /// Make a connection ready for its service. `peer` is from where it was accepted, `None` if
    /// that has no address of IP.
    ///
    /// What is refused has been told so, where there is a way to, and is closed.
    pub(crate) async fn prepare(
        &self,
        plain: Plain,
        peer: Option<SocketAddr>,
    ) -> Result<Prepared, Refused> {
        let peer = match &self.proxy {
            Some(proxy) => proxy.peer(&plain, peer).await?,
            None => peer,
        };
        let stream = self.encrypted(plain).await?;
        Ok(Prepared { stream, peer })
    }

    #[cfg(feature = "tls")]
    async fn encrypted(&self, plain: Plain) -> Result<Stream, Refused> {
        match &self.tls {
            Some(tls) => TlsSession::handshake(plain, tls).await.map(Stream::Tls),
            None => Ok(Stream::Plain(plain)),
        }
    }

    #[cfg(not(feature = "tls"))]
    async fn encrypted(&self, plain: Plain) -> Result<Stream, Refused> {
        Ok(Stream::Plain(plain))
    }
}

/// A connection that its service can have.
#[derive(Debug)]
pub(crate) struct Prepared {
    pub stream: Stream,
    /// Who the peer is, by the word of its proxy if there is one.
    pub peer: Option<SocketAddr>,
}

/// Where its bytes come from and go to.
#[derive(Debug)]
pub(crate) enum Stream {
    Plain(Plain),
    #[cfg(feature = "tls")]
    Tls(TlsSession),
}
