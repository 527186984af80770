//! A certificate and its key as PEM text: checks them before anyone connects.

use super::TlsError;
use super::error::PemSource;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The text of a certificate and of its key, and where each came from. Both may be the same text.
///
/// The key is a secret, so there is no `Debug`.
pub(super) struct Pem {
    pub certificate: (PemSource, Vec<u8>),
    pub key: (PemSource, Vec<u8>),
}

/// A certificate that can be used, with its key, and the text from which they were loaded.
pub(super) struct Loaded {
    pub key: Arc<CertifiedKey>,
    /// The certificate's and the key's.
    pub text: [Vec<u8>; 2],
}

impl Pem {
    pub(super) fn of_text(certificate: &[u8], key: &[u8]) -> Self {
        Self {
            certificate: (PemSource::Certificate, certificate.to_vec()),
            key: (PemSource::Key, key.to_vec()),
        }
    }

    /// Checks the text.
    pub(super) fn load(self, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
        let chain = certificates(&self.certificate)?;
        let key = private_key(&self.key)?;
        self.check_dates(&chain)?;
        let certified = CertifiedKey::from_der(chain, key, provider);
        let key = certified.map(Arc::new).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::KeyMismatch {
                    certificate: self.certificate.0.clone(),
                    key: self.key.0.clone(),
                }
            }
            error => self.unusable(&error),
        })?;
        let text = [self.certificate.1, self.key.1];
        Ok(Loaded { key, text })
    }

    /// Checks the certificate's dates with the verifier of a client, which checks them before anything
    /// else. That it trusts no issuer does not matter.
    fn check_dates(&self, chain: &[CertificateDer<'_>]) -> Result<(), TlsError> {
        let Some(first) = chain.first() else {
            return Err(TlsError::NoCertificate(self.certificate.0.clone()));
        };
        let first = ParsedCertificate::try_from(first).map_err(|error| self.unusable(&error))?;
        let algorithms = ring::default_provider()
            .signature_verification_algorithms
            .all;
        let verified = verify_server_cert_signed_by_trust_anchor(
            &first,
            &RootCertStore::empty(),
            &[],
            UnixTime::now(),
            algorithms,
        );
        match verified {
            Err(rustls::Error::InvalidCertificate(CertificateError::ExpiredContext {
                not_after,
                ..
            })) => Err(TlsError::Expired {
                pem: self.certificate.0.clone(),
                not_after: time(not_after),
            }),
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => Err(TlsError::NotYetValid {
                pem: self.certificate.0.clone(),
                not_before: time(not_before),
            }),
            _ => Ok(()),
        }
    }

    fn unusable(&self, error: &rustls::Error) -> TlsError {
        TlsError::Unusable {
            certificate: self.certificate.0.clone(),
            key: self.key.0.clone(),
            cause: match error {
                // Its own message is meant for a client, and for programmers.
                rustls::Error::InvalidCertificate(CertificateError::Other(cause)) => {
                    format!("it takes a certificate of X.509 version 3 ({})", cause.0)
                }
                error => error.to_string(),
            },
        }
    }
}

fn time(time: UnixTime) -> SystemTime {
    SystemTime::UNIX_EPOCH + Duration::from_secs(time.as_secs())
}

fn certificates(
    (source, text): &(PemSource, Vec<u8>),
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(text)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(source, &error))?;
    match chain.is_empty() {
        true => Err(TlsError::NoCertificate(source.clone())),
        false => Ok(chain),
    }
}

fn private_key((source, text): &(PemSource, Vec<u8>)) -> Result<PrivateKeyDer<'static>, TlsError> {
    PrivateKeyDer::from_pem_slice(text).map_err(|error| match error {
        _ if is_encrypted(text) => TlsError::EncryptedKey(source.clone()),
        pem::Error::NoItemsFound => TlsError::NoKey(source.clone()),
        error => not_pem(source, &error),
    })
}

fn not_pem(source: &PemSource, error: &pem::Error) -> TlsError {
    TlsError::NotPem {
        pem: source.clone(),
        cause: match error {
            pem::Error::MissingSectionEnd { .. } => "it ends in the middle of a section".to_owned(),
            pem::Error::IllegalSectionStart { .. } => {
                "a line that begins a section is cut".to_owned()
            }
            error => error.to_string(),
        },
    }
}

/// Returns whether the text has an encrypted key, of PKCS #8 or of an older format.
fn is_encrypted(bytes: &[u8]) -> bool {
    let marks = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
    let text = String::from_utf8_lossy(bytes);
    marks.iter().any(|mark| text.contains(mark))
}
