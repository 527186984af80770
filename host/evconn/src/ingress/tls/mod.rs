//! TLS: the certificate of a listener, and the handshake of a connection.
//!
//! This module knows neither services nor who accepts the connections.

mod error;
mod files;
mod handshake;

#[cfg(test)]
mod tests;

pub use error::TlsError;
pub(crate) use handshake::{described, handshake};

use files::Files;
use rustls::ServerConfig;
use rustls::crypto::ring;
use rustls::server::{ClientHello, ResolvesServerCert};
use rustls::sign::CertifiedKey;
use std::fmt;
use std::path::Path;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

/// A server's TLS configuration and certificate: versions 1.2 and 1.3, without client certificates.
///
/// Cloning is cheap. All clones share one certificate, which [`reload`](Self::reload) replaces.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    files: Files,
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
        let provider = Arc::new(ring::default_provider());
        let current = Arc::new(Current(RwLock::new(files.load(&provider)?)));
        let resolver: Arc<dyn ResolvesServerCert> = Arc::clone(&current) as _;
        let config = ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| files.unusable(&error))?
            .with_no_client_auth()
            .with_cert_resolver(resolver);
        Ok(Self {
            files,
            current,
            config: Arc::new(config),
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

    /// Reads the files again. New connections get the new certificate; open ones keep theirs.
    ///
    /// # Errors
    /// As [`from_files`](Self::from_files). The old certificate stays in use then.
    pub fn reload(&self) -> Result<(), TlsError> {
        let new = self.files.load(self.config.crypto_provider())?;
        *self
            .current
            .0
            .write()
            .unwrap_or_else(PoisonError::into_inner) = new;
        Ok(())
    }
}

/// The current certificate.
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

/// Shows no part of the key.
impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}
