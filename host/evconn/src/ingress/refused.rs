//! Why the ingress refused a connection, in one line for the log.

use std::io;
use std::time::Duration;

/// Why a connection was refused before a service got it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Refused {
    /// The peer closed the connection before it sent anything, as health checks do.
    #[error("the peer closed it before it sent anything")]
    Closed,
    /// The connection does not come from a trusted proxy.
    #[error("PROXY protocol: it does not come from a trusted proxy")]
    UntrustedProxy,
    #[error("PROXY header: {0}")]
    ProxyHeader(String),
    #[error("PROXY header: not complete within {0:?}")]
    ProxyHeaderTimeout(Duration),
    /// The first bytes, escaped.
    #[cfg(feature = "tls")]
    #[error("not TLS: it began with \"{0}\"")]
    NotTls(String),
    #[cfg(feature = "tls")]
    #[error("TLS handshake: {0}")]
    Handshake(#[from] rustls::Error),
    #[cfg(feature = "tls")]
    #[error("TLS handshake: the peer closed it halfway")]
    HandshakeCut,
    #[cfg(feature = "tls")]
    #[error("TLS handshake: not complete within {0:?}")]
    HandshakeTimeout(Duration),
    #[error("{0}")]
    Io(#[from] io::Error),
}

impl From<Refused> for io::Error {
    fn from(refused: Refused) -> Self {
        let kind = match &refused {
            Refused::Io(error) => error.kind(),
            Refused::Closed => io::ErrorKind::UnexpectedEof,
            Refused::UntrustedProxy => io::ErrorKind::PermissionDenied,
            Refused::ProxyHeader(_) => io::ErrorKind::InvalidData,
            Refused::ProxyHeaderTimeout(_) => io::ErrorKind::TimedOut,
            #[cfg(feature = "tls")]
            Refused::NotTls(_) | Refused::Handshake(_) => io::ErrorKind::InvalidData,
            #[cfg(feature = "tls")]
            Refused::HandshakeCut => io::ErrorKind::UnexpectedEof,
            #[cfg(feature = "tls")]
            Refused::HandshakeTimeout(_) => io::ErrorKind::TimedOut,
        };
        Self::new(kind, refused)
    }
}

/// Returns what a peer sent as one short line: escaped, and cut off after 32 bytes.
pub(super) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 32;
    let mut text = bytes[..bytes.len().min(MOST)].escape_ascii().to_string();
    if bytes.len() > MOST {
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_peer_sent_is_one_short_line() {
        assert_eq!(shown(b"GET /\r\n\x1b[2J\""), "GET /\\r\\n\\x1b[2J\\\"");
        let long = shown(&[0xff; 1000]);
        assert_eq!(long, "\\xff".repeat(32) + "…");
    }
}
