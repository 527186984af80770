//! Loads a certificate and its key from PEM files, and checks them before anyone connects.

use super::TlsError;
use crate::privacy;
use rustls::client::verify_server_cert_signed_by_trust_anchor;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::{self, PemObject};
use rustls::pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use rustls::{CertificateError, InconsistentKeys, RootCertStore};
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    /// Reads and checks the files as they are now.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Arc<CertifiedKey>, TlsError> {
        let chain = certificates(&self.certificate)?;
        let (key, metadata) = private_key(&self.key)?;
        self.check_dates(&chain)?;
        let certified = CertifiedKey::from_der(chain, key, provider);
        let certified = certified.map(Arc::new).map_err(|error| match error {
            rustls::Error::InconsistentKeys(InconsistentKeys::KeyMismatch) => {
                TlsError::KeyMismatch {
                    certificate: self.certificate.clone(),
                    key: self.key.clone(),
                }
            }
            error => self.unusable(&error),
        })?;
        warn_of_others(&self.key, &metadata);
        Ok(certified)
    }

    /// Checks the certificate's dates with the verifier of a client, which checks them before anything
    /// else. That it trusts no issuer does not matter.
    fn check_dates(&self, chain: &[CertificateDer<'_>]) -> Result<(), TlsError> {
        let Some(first) = chain.first() else {
            return Err(TlsError::NoCertificate(self.certificate.clone()));
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
                file: self.certificate.clone(),
                not_after: time(not_after),
            }),
            Err(rustls::Error::InvalidCertificate(CertificateError::NotValidYetContext {
                not_before,
                ..
            })) => Err(TlsError::NotYetValid {
                file: self.certificate.clone(),
                not_before: time(not_before),
            }),
            _ => Ok(()),
        }
    }

    pub(super) fn unusable(&self, error: &rustls::Error) -> TlsError {
        TlsError::Unusable {
            certificate: self.certificate.clone(),
            key: self.key.clone(),
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

/// The largest file that is read, in bytes: more than any certificate with its whole chain has.
const LARGEST: u64 = 1 << 20;

fn read(file: &Path) -> Result<(Vec<u8>, Metadata), TlsError> {
    read_all(file).map_err(|cause| TlsError::Unreadable {
        file: file.to_owned(),
        cause,
    })
}

/// Returns the content of a file and its metadata.
fn read_all(file: &Path) -> io::Result<(Vec<u8>, Metadata)> {
    let mut bytes = Vec::new();
    let file = File::open(file)?;
    let metadata = file.metadata()?;
    file.take(LARGEST + 1).read_to_end(&mut bytes)?;
    match bytes.len() as u64 > LARGEST {
        true => Err(io::Error::other("it is longer than 1 MiB")),
        false => Ok((bytes, metadata)),
    }
}

/// Warns if others can read the key, so that it is no secret, or replace it. It is used all the same:
/// some systems distribute keys with such permissions on machines with a single user.
fn warn_of_others(file: &Path, metadata: &Metadata) {
    if let Some(problem) = privacy::problem_of_secret(metadata) {
        let file = file.display();
        tracing::warn!("the private key {file} is not private: {problem} (chmod 600)");
    }
}

fn certificates(file: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let (bytes, _) = read(file)?;
    let chain: Vec<_> = CertificateDer::pem_slice_iter(&bytes)
        .collect::<Result<_, _>>()
        .map_err(|error| not_pem(file, &error))?;
    match chain.is_empty() {
        true => Err(TlsError::NoCertificate(file.to_owned())),
        false => Ok(chain),
    }
}

/// Returns the key, and its file's metadata.
fn private_key(file: &Path) -> Result<(PrivateKeyDer<'static>, Metadata), TlsError> {
    let (bytes, metadata) = read(file)?;
    let key = PrivateKeyDer::from_pem_slice(&bytes).map_err(|error| match error {
        _ if is_encrypted(&bytes) => TlsError::EncryptedKey(file.to_owned()),
        pem::Error::NoItemsFound => TlsError::NoKey(file.to_owned()),
        error => not_pem(file, &error),
    })?;
    Ok((key, metadata))
}

fn not_pem(file: &Path, error: &pem::Error) -> TlsError {
    TlsError::NotPem {
        file: file.to_owned(),
        cause: match error {
            pem::Error::MissingSectionEnd { .. } => "it ends in the middle of a section".to_owned(),
            pem::Error::IllegalSectionStart { .. } => {
                "a line that begins a section is cut".to_owned()
            }
            error => error.to_string(),
        },
    }
}

/// Returns whether the file has an encrypted key, of PKCS #8 or of an older format.
fn is_encrypted(bytes: &[u8]) -> bool {
    let marks = ["BEGIN ENCRYPTED PRIVATE KEY", "Proc-Type: 4,ENCRYPTED"];
    let text = String::from_utf8_lossy(bytes);
    marks.iter().any(|mark| text.contains(mark))
}
