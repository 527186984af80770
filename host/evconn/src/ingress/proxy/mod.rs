//! The PROXY protocol: a proxy says before the first byte for whom it has connected.
//!
//! Where it ends: what a header says is [`header`]'s.

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

/// Take the peer's address from a header of the PROXY protocol, version 1 or 2, which every
/// connection has to begin with.
///
/// The header is read from the connection to its last byte, and no further. Its fields besides the
/// addresses, a checksum among them, are skipped. A header of version 1 has at most 107 bytes, one
/// of version 2 at most 65,551: the bounds of the specification.
///
/// A header is only as good as whoever sends it: connections from addresses that are not among the
/// [`TrustedProxies`] are refused, and so are those whose header is missing, incomplete, malformed
/// or late.
#[derive(Clone, Debug)]
pub struct ProxyProtocol {
    trusted: TrustedProxies,
    timeout: Duration,
}

impl ProxyProtocol {
    /// How long the header may take unless another time is set: 5 seconds.
    pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(5);

    /// Expect a header from these proxies.
    pub fn new(trusted: TrustedProxies) -> Self {
        Self {
            trusted,
            timeout: Self::DEFAULT_TIMEOUT,
        }
    }

    /// How long the header may take to arrive, from when the connection was accepted. Default:
    /// 5 seconds.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Read the header of a connection that was accepted from `peer`: the address that it announces,
    /// if it does.
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

/// Read the header: never a byte more than it is known to have.
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
            0 => return Err(Refused::ProxyHeader("it ends before its end".to_owned())),
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

/// The most bytes that memory is taken for before they are there: a header may announce far more, and not
/// send them.
const PIECE: usize = 4096;

/// Append what comes next, at most `count` bytes. Returns how many, 0 at the end.
async fn receive(plain: &Plain, bytes: &mut Vec<u8>, count: usize) -> io::Result<usize> {
    let start = bytes.len();
    bytes.resize(start + count.min(PIECE), 0);
    let received = when_ready(plain, || plain.try_recv(&mut bytes[start..])).await?;
    bytes.truncate(start + received);
    Ok(received)
}

#[cfg(test)]
mod tests;
