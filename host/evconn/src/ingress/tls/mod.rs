//! TLS: the certificate of a listener, and the handshake of a connection.
//!
//! This module knows neither services nor who accepts the connections.

mod error;
mod files;
mod handshake;
mod pem;

#[cfg(test)]
mod tests;

pub use error::{PemSource, TlsError};
pub(crate) use handshake::{described, handshake};

use files::Files;
use pem::{Loaded, Pem};
use rustls::ServerConfig;
use rustls::crypto::{CryptoProvider, ring};
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard};
use std::time::Duration;

/// A server's TLS configuration and certificate: versions 1.2 and 1.3, without client certificates.
///
/// Cloning is cheap. All clones share one certificate, which [`reload`](Self::reload) replaces.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    /// None: the certificate was given as text.
    files: Option<Files>,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
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
    /// expired or is not valid yet, or if the key does not belong to it.
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
        Ok(Self::new(Some(files), loaded, provider))
    }

    /// Checks a certificate, with its chain if there is one, and its private key, both given as PEM text.
    /// Both may be in one text.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files).
    pub fn from_pem(certificate: &[u8], key: &[u8]) -> Result<Self, TlsError> {
        let provider = ring::default_provider();
        let loaded = Pem::of_text(certificate, key).load(&provider)?;
        Ok(Self::new(None, loaded, provider))
    }

    fn new(files: Option<Files>, loaded: Loaded, provider: CryptoProvider) -> Self {
        let current = Arc::new(Current(RwLock::new(loaded)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let config = ServerConfig::builder_with_provider(Arc::new(provider))
            .with_safe_default_protocol_versions()
            .expect("ring supports TLS 1.2 and 1.3")
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Self {
            files,
            current,
            config: Arc::new(config),
            handshake_timeout: Self::DEFAULT_HANDSHAKE_TIMEOUT,
        }
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
