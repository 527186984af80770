//! TLS: the certificate of a listener, and the handshake of a connection.
//!
//! This module knows neither services nor who accepts the connections.

mod error;
mod files;
mod handshake;
mod pem;
mod tickets;

#[cfg(test)]
mod tests;

pub use error::{PemSource, TlsError};
pub(crate) use handshake::{described, handshake};
pub use tickets::TicketKeys;

use files::Files;
use pem::{Loaded, Pem};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, NoServerSessionStorage, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::{Duration, Instant};
use tickets::{NoTickets, Tickets};

/// A server's TLS configuration and certificate: versions 1.2 and 1.3, without client certificates.
///
/// Cloning is cheap. All clones share one certificate, which [`reload`](Self::reload) replaces, and the keys of
/// session tickets.
///
/// A client that comes back resumes its session with a ticket, which takes far less CPU time than a handshake with
/// the certificate. With TLS 1.3 this keeps forward secrecy; with TLS 1.2, whoever learns the
/// [keys of the tickets](TicketKeys) can decrypt the resumed sessions and those that they continue. The keys are
/// random, kept in memory only, and forgotten after 12 hours. [`without_tickets`](Self::without_tickets) switches
/// resumption off.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// None: the certificate was given as text.
    files: Option<Files>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    tickets: Arc<Tickets>,
    handshake_timeout: Duration,
}

impl TlsConfig {
    /// The default timeout of a handshake: 10 seconds.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

    /// Loads a certificate, with its chain if there is one, and its private key from PEM files. Both may
    /// be in one file.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be read or does not contain what is expected, if the certificate has
    /// expired or is not valid yet, or if the key does not belong to it; [`TlsError::NoRandomness`].
    pub fn from_files(
        certificate: impl AsRef<Path>,
        key: impl AsRef<Path>,
    ) -> Result<Self, TlsError> {
        let files = Files {
            certificate: certificate.as_ref().to_owned(),
            key: key.as_ref().to_owned(),
        };
        let provider = ring::default_provider();
        let loaded = files.load(&provider)?;
        Self::new(Some(files), loaded, provider)
    }

    /// Checks a certificate, with its chain if there is one, and its private key, both given as PEM text.
    /// Both may be in one text.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files).
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let provider = ring::default_provider();
        let loaded = Pem::of_text(certificate, key).load(&provider)?;
        Self::new(None, loaded, provider)
    }

    fn new(
        files: Option<Files>,
        loaded: Loaded,
        provider: CryptoProvider,
    ) -> Result<Self, TlsError> {
        let tickets = Tickets::rotating(TicketKeys::generate()?, Instant::now());
        let current = Arc::new(Current(RwLock::new(loaded)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let mut config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        config.ticketer = Arc::clone(&tickets) as _;
        Ok(Self {
            files,
            current,
            config: Arc::new(config),
            tickets,
            handshake_timeout: Self::DEFAULT_HANDSHAKE_TIMEOUT,
        })
    }

    /// Sets the application protocols to choose from (ALPN), the preferred one first. Defaults to none.
    ///
    /// A client that offers only other protocols is refused. One that offers none is accepted.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.config).alpn_protocols = protocols;
        self
    }

    /// Sets the timeout of a handshake. Defaults to 10 seconds.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Uses these keys for session tickets, until [`set_ticket_keys`](Self::set_ticket_keys) replaces them: for
    /// processes that serve the same clients. Defaults to random keys, which are replaced every
    /// [`TicketKeys::ROTATION`].
    pub fn ticket_keys(self, keys: TicketKeys) -> Self {
        self.set_ticket_keys(keys);
        self
    }

    /// Replaces the keys of session tickets, in all clones.
    pub fn set_ticket_keys(&self, keys: TicketKeys) {
        self.tickets.set(keys);
    }

    /// Resumes no sessions: every connection has a full handshake.
    pub fn without_tickets(mut self) -> Self {
        let config = Arc::make_mut(&mut self.config);
        config.ticketer = Arc::new(NoTickets);
        // Clients of TLS 1.2 can resume with session IDs as well.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
        self
    }

    /// Reads the files again. New connections get the new certificate; open ones keep theirs.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files), and [`TlsError::NotFromFiles`] if the certificate was given as
    /// text: [`replace`](Self::replace) it. The old certificate stays in use then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let files = self.files.as_ref().ok_or(TlsError::NotFromFiles)?;
        self.current.set(files.load(self.config.crypto_provider())?);
        Ok(())
    }

    /// Replaces the certificate and its key with others, given as PEM text. New connections get the new
    /// certificate; open ones keep theirs.
    ///
    /// # Errors
    /// As [`from_pem`](Self::from_pem). The old certificate stays in use then.
    pub fn replace(&self, certificate: &[u8], key: &[u8]) -> Result<(), TlsError> {
        let pem = Pem::of_text(certificate, key);
        self.current.set(pem.load(self.config.crypto_provider())?);
        Ok(())
    }

    /// Returns the PEM text of the certificate and of its key, as they are in use: what was last read
    /// successfully. For a process that cannot read the files. The key is a secret.
    pub fn pem(&self) -> [Vec<u8>; 2] {
        self.current.read().text.clone()
    }
}

/// The current certificate.
struct Current(RwLock<Loaded>);

impl Current {
    fn read(&self) -> RwLockReadGuard<'_, Loaded> {
        // It is only ever replaced as a whole.
        self.0.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, loaded: Loaded) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = loaded;
    }
}

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        Some(Arc::clone(&self.read().key))
    }
}

/// Shows no part of the key.
impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}
