//! What was negotiated for a session.

use rustls::{ProtocolVersion, ServerConnection};

/// What the handshake of a TLS session has negotiated.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TlsInfo {
    /// The version of the protocol, as OpenSSL names it: `TLSv1.3`.
    pub protocol: String,
    /// The application protocol (ALPN), if one was negotiated.
    pub application_protocol: Option<Vec<u8>>,
    /// The name of the server that the peer has asked for (SNI), if it has.
    pub server_name: Option<String>,
    /// The certificates that the peer has presented, in DER: its own first.
    pub client_certificates: Vec<Vec<u8>>,
}

impl TlsInfo {
    pub(super) fn of(tls: &ServerConnection) -> Self {
        let certificates = tls.peer_certificates().unwrap_or_default();
        Self {
            protocol: tls.protocol_version().map_or("TLS".to_owned(), shown),
            application_protocol: tls.alpn_protocol().map(<[u8]>::to_vec),
            server_name: tls.server_name().map(str::to_owned),
            client_certificates: certificates.iter().map(|der| der.to_vec()).collect(),
        }
    }
}

fn shown(version: ProtocolVersion) -> String {
    match version {
        ProtocolVersion::TLSv1_2 => "TLSv1.2".to_owned(),
        ProtocolVersion::TLSv1_3 => "TLSv1.3".to_owned(),
        other => format!("{other:?}"),
    }
}
