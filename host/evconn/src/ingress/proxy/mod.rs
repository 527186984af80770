//! The PROXY protocol: before the first byte, a proxy says for which peer it has connected.
//!
//! Parsing the header is done in [`header`].

mod header;
mod trusted;

pub use trusted::TrustedProxies;

use super::receive::when_ready;
use super::refused::{Refused, shown};
use crate::sockets::Plain;
use header::{Flaw, Progress, Source};
use std::io;
use std::net::SocketAddr;
use std::time::Duration;

/// Takes the peer's address from a PROXY protocol header, version 1 or 2, with which every connection has
/// to begin.
///
/// Exactly the header's bytes are read from the connection. Fields other than the addresses, including
/// the checksum, are skipped. Headers have at most 107 bytes in version 1 and 65,551 bytes in version 2,
/// as specified.
///
/// Any peer could send a header, so connections from addresses that are not among the [`TrustedProxies`]
/// are refused. So are connections whose header is missing, incomplete, malformed or late.
#[derive(Clone, Debug)]
pub struct ProxyProtocol {
    trusted: TrustedProxies,
    timeout: Duration,
}

impl ProxyProtocol {
    /// The default time for the header: 5 seconds.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

    /// Expects a header from these proxies.
    pub fn new(trusted: TrustedProxies) -> Self {
        Self {
            trusted,
            timeout: Self::DEFAULT_TIMEOUT,
        }
    }

    /// Sets how long the header may take, counted from when the connection was accepted. Defaults to 5
    /// seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Reads the header of a connection that was accepted from `peer`. Returns the address that it
    /// announces, if it announces one.
    pub(super) async fn announced(
        &self,
        plain: &Plain,
        peer: SocketAddr,
    ) -> Result<Option<SocketAddr>, Refused> {
        if !self.trusted.contains(plain, peer) {
            return Err(Refused::UntrustedProxy);
        }
        match tokio::time::timeout(self.timeout, read(plain)).await {
            Err(_) => Err(Refused::ProxyHeaderTimeout(self.timeout)),
            Ok(Err(refused)) => Err(refused),
            Ok(Ok(Source::Announced(address))) => Ok(Some(address)),
            Ok(Ok(Source::AsAccepted)) => Ok(None),
        }
    }
}

/// Reads the header, and nothing beyond it.
async fn read(plain: &Plain) -> Result<Source, Refused> {
    let mut bytes = Vec::new();
    loop {
        let count = match header::parse(&bytes) {
            Ok(Progress::Complete(source)) => return Ok(source),
            Ok(Progress::Needs(count)) => count,
            Err(flaw) => return Err(refuse(&flaw, &bytes)),
        };
        match receive(plain, &mut bytes, count).await? {
            0 if bytes.is_empty() => return Err(Refused::Closed),
            0 => {
                return Err(Refused::ProxyHeader(
                    "the connection ends in the middle of it".to_owned(),
                ));
            }
            _ => {}
        }
    }
}

fn refuse(flaw: &Flaw, bytes: &[u8]) -> Refused {
    Refused::ProxyHeader(match flaw {
        Flaw::Absent => format!("there is none: it began with \"{}\"", shown(bytes)),
        flaw => flaw.to_string(),
    })
}

/// The most bytes for which memory is allocated before they arrive: a header may announce far more than
/// its peer ever sends.
const PIECE: usize = 4096;

/// Appends up to `count` bytes. Returns how many there were: 0 at the end.
async fn receive(plain: &Plain, bytes: &mut Vec<u8>, count: usize) -> io::Result<usize> {
    let start = bytes.len();
    bytes.resize(start + count.min(PIECE), 0);
    let received = when_ready(plain, || plain.try_recv(&mut bytes[start..])).await?;
    bytes.truncate(start + received);
    Ok(received)
}

#[cfg(test)]
mod tests;
