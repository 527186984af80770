//! The handshake: until both sides have the session's keys, or one of them gives up.

use super::TlsConfig;
use crate::ingress::receive::when_ready;
use crate::ingress::refused::{Refused, shown};
use crate::sockets::{Plain, Wire};
use rustix::net::Shutdown;
use rustls::{HandshakeKind, ServerConnection};
use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

/// The record type with which a TLS connection begins: `handshake`.
const HANDSHAKE_RECORD: u8 = 22;

/// A record with a fatal alert: `unexpected_message`.
const UNEXPECTED_MESSAGE: [u8; 7] = [21, 3, 3, 0, 2, 2, 10];

/// How long, and for up to how many bytes, a refused peer is still read from: closing a connection with
/// unread bytes would discard the alert before the peer gets it.
const PARTING: Duration = Duration::from_secs(1);
const PARTING_BYTES: usize = 64 << 10;

/// Negotiates a session with the peer, within the configured timeout.
pub(crate) async fn handshake(
    plain: &Plain,
    config: &TlsConfig,
) -> Result<ServerConnection, Refused> {
    let mut tls = ServerConnection::new(Arc::clone(&config.config))?;
    let timeout = config.handshake_timeout;
    match tokio::time::timeout(timeout, negotiate(plain, &mut tls)).await {
        Ok(Ok(())) => Ok(tls),
        Ok(Err(refused)) => {
            if matches!(refused, Refused::NotTls(_) | Refused::Handshake(_)) {
                part(plain).await;
            }
            Err(refused)
        }
        Err(_) => Err(Refused::HandshakeTimeout(timeout)),
    }
}

/// Describes a session for the log: `TLSv1_3, resumed, name "example.org", protocol "h2"`. What the peer chose is
/// escaped and cut off.
pub(crate) fn described(tls: &ServerConnection) -> String {
    let version = tls.protocol_version();
    let mut text = version.map_or("TLS".to_owned(), |version| format!("{version:?}"));
    if tls.handshake_kind() == Some(HandshakeKind::Resumed) {
        text += ", resumed";
    }
    if let Some(name) = tls.server_name() {
        text += &format!(", name \"{}\"", shown(name.as_bytes()));
    }
    if let Some(protocol) = tls.alpn_protocol() {
        text += &format!(", protocol \"{}\"", shown(protocol));
    }
    text
}

async fn negotiate(plain: &Plain, tls: &mut ServerConnection) -> Result<(), Refused> {
    begin(plain, tls).await?;
    loop {
        let processed = tls.process_new_packets();
        // After an error there is an alert to be sent.
        send(plain, tls).await?;
        processed?;
        if !tls.is_handshaking() {
            return Ok(());
        }
        let count = when_ready(plain, || tls.read_tls(&mut Wire(plain))).await?;
        if count == 0 {
            return Err(Refused::HandshakeCut);
        }
    }
}

/// Reads the first bytes and checks whether they can be TLS: a peer that speaks plain text may wait for
/// an answer after fewer bytes than a record has.
async fn begin(plain: &Plain, tls: &mut ServerConnection) -> Result<(), Refused> {
    let mut buffer = [0; 512];
    let count = when_ready(plain, || plain.try_recv(&mut buffer)).await?;
    let mut bytes = &buffer[..count];
    match bytes.first() {
        None => return Err(Refused::Closed),
        Some(&HANDSHAKE_RECORD) => {}
        Some(_) => {
            // A peer that cannot be sent the alert has gone.
            let _ = plain.try_send(&UNEXPECTED_MESSAGE);
            return Err(Refused::NotTls(shown(bytes)));
        }
    }
    while !bytes.is_empty() {
        tls.read_tls(&mut bytes)?;
    }
    Ok(())
}

async fn send(plain: &Plain, tls: &mut ServerConnection) -> io::Result<()> {
    while tls.wants_write() {
        match tls.write_tls(&mut Wire(plain)) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => plain.writable().await?,
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            result => {
                result?;
            }
        }
    }
    Ok(())
}

/// Ends this side, and gives the peer the time to read the alert.
async fn part(plain: &Plain) {
    let listen = async {
        let mut buffer = [0; 2048];
        let mut left = PARTING_BYTES;
        while left > 0 {
            match when_ready(plain, || plain.try_recv(&mut buffer)).await {
                Ok(0) | Err(_) => return,
                Ok(count) => left = left.saturating_sub(count),
            }
        }
    };
    plain.shutdown(Shutdown::Write);
    // If the time runs out, the peer has had time to read the alert.
    let _ = tokio::time::timeout(PARTING, listen).await;
}
