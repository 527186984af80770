//! The errors of certificates and keys.

use humantime::format_rfc3339_seconds;
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// Where PEM text came from. Its `Display` names it in an error.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum PemSource {
    /// A file.
    File(PathBuf),
    /// The certificate's text, given to [`TlsConfig::from_pem`](super::TlsConfig::from_pem).
    Certificate,
    /// The key's text, given likewise.
    Key,
}

impl PemSource {
    pub(super) fn file(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Display for PemSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => write!(f, "{path:?}"),
            Self::Certificate => f.write_str("the text of the certificate"),
            Self::Key => f.write_str("the text of the key"),
        }
    }
}

/// Why a certificate cannot be used. Each error names the file, if it came from one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TlsError {
    /// The file cannot be read.
    #[error("cannot read {file:?}: {cause}")]
    Unreadable {
        /// The file.
        file: PathBuf,
        /// What the operating system says.
        cause: io::Error,
    },
    /// The certificate was given as text, so that it cannot be read again from files.
    #[error(
        "the certificate was given as text, so it cannot be read again: replace it with new text"
    )]
    NotFromFiles,
    /// The text is not PEM.
    #[error("{pem} is not PEM: {cause}")]
    NotPem {
        /// The text.
        pem: PemSource,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no certificate in it.
    #[error("no certificate in {0}: it takes PEM with BEGIN CERTIFICATE in it")]
    NoCertificate(PemSource),
    /// There is no private key in it.
    #[error("no private key in {0}: it takes PEM with BEGIN PRIVATE KEY in it")]
    NoKey(PemSource),
    /// The private key needs a passphrase.
    #[error("the private key in {0} is encrypted: decrypt it with `openssl pkey`")]
    EncryptedKey(PemSource),
    /// The certificate is no longer valid.
    #[error("the certificate in {pem} expired on {}", format_rfc3339_seconds(*.not_after))]
    Expired {
        /// The certificate.
        pem: PemSource,
        /// The last second in which it was valid.
        not_after: SystemTime,
    },
    /// The certificate is not valid yet.
    #[error("the certificate in {pem} is not valid before {}", format_rfc3339_seconds(*.not_before))]
    NotYetValid {
        /// The certificate.
        pem: PemSource,
        /// The first second in which it will be valid.
        not_before: SystemTime,
    },
    /// The private key does not belong to the certificate.
    #[error("the private key in {key} does not belong to the certificate in {certificate}")]
    KeyMismatch {
        /// The certificate.
        certificate: PemSource,
        /// The key.
        key: PemSource,
    },
    /// The certificate or the key is malformed, or of a kind that is not supported.
    #[error("the certificate in {certificate} cannot be used with the key in {key}: {cause}")]
    Unusable {
        /// The certificate.
        certificate: PemSource,
        /// The key.
        key: PemSource,
        /// What is wrong with them.
        cause: String,
    },
    /// The keys of session tickets cannot be generated.
    #[error("the operating system provides no random numbers for the keys of session tickets")]
    NoRandomness,
}
