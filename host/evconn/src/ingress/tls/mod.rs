//! TLS: a certificate for a listener, and the session of one connection.
//!
//! Where it ends: nothing here knows of services, nor who accepts the connection.

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

/// A server's certificate and how it speaks TLS: versions 1.2 and 1.3, without client certificates.
///
/// Cheap to clone; the clones share one certificate, which [`reload`](Self::reload) replaces.
#[derive(Clone, Debug)]
pub struct TlsConfig {
    files: Files,
    current: Arc<Current>,
    config: Arc<ServerConfig>,
    handshake_timeout: Duration,
}

impl TlsConfig {
    /// How long a handshake may take unless another time is set: 10 seconds.
    pub const DEFAULT_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(10);

    /// Take a certificate, with those that it was signed by if there are any, and its private key
    /// from files in PEM. They may be one file.
    ///
    /// # Errors
    /// [`TlsError`] if a file cannot be read or holds nothing of the kind, if the certificate has
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

    /// The application protocols to choose from (ALPN), the preferred one first. Default: none.
    ///
    /// A client that offers some, but none of these, is refused; one that offers none is not.
    pub fn alpn<P: Into<Vec<u8>>>(mut self, protocols: impl IntoIterator<Item = P>) -> Self {
        let protocols = protocols.into_iter().map(Into::into).collect();
        Arc::make_mut(&mut self.config).alpn_protocols = protocols;
        self
    }

    /// How long a handshake may take. Default: 10 seconds.
    pub fn handshake_timeout(mut self, timeout: Duration) -> Self {
        self.handshake_timeout = timeout;
        self
    }

    /// Read the files again. From here on new connections get the new certificate; those that are
    /// open keep theirs.
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

/// The certificate in use.
struct Current(RwLock<Arc<CertifiedKey>>);

impl ResolvesServerCert for Current {
    fn resolve(&self, _hello: ClientHello<'_>) -> Option<Arc<CertifiedKey>> {
        let current = self.0.read().unwrap_or_else(PoisonError::into_inner);
        Some(Arc::clone(&current))
    }
}

/// Without the key.
impl fmt::Debug for Current {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Current").finish_non_exhaustive()
    }
}
