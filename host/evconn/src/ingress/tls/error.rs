//! The errors of certificates and keys.

use humantime::format_rfc3339_seconds;
use std::io;
use std::path::PathBuf;
use std::time::SystemTime;

/// Why a certificate cannot be used. Each error names the file.
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
    /// The file is not PEM.
    #[error("{file:?} is not PEM: {cause}")]
    NotPem {
        /// The file.
        file: PathBuf,
        /// What is wrong with it.
        cause: String,
    },
    /// There is no certificate in the file.
    #[error("no certificate in {0:?}: it takes a PEM file with BEGIN CERTIFICATE in it")]
    NoCertificate(PathBuf),
    /// There is no private key in the file.
    #[error("no private key in {0:?}: it takes a PEM file with BEGIN PRIVATE KEY in it")]
    NoKey(PathBuf),
    /// The private key needs a passphrase.
    #[error("the private key in {0:?} is encrypted: decrypt it with `openssl pkey`")]
    EncryptedKey(PathBuf),
    /// The certificate is no longer valid.
    #[error("the certificate in {file:?} expired on {}", format_rfc3339_seconds(*.not_after))]
    Expired {
        /// The certificate's file.
        file: PathBuf,
        /// The last second in which it was valid.
        not_after: SystemTime,
    },
    /// The certificate is not valid yet.
    #[error("the certificate in {file:?} is not valid before {}", format_rfc3339_seconds(*.not_before))]
    NotYetValid {
        /// The certificate's file.
        file: PathBuf,
        /// The first second in which it will be valid.
        not_before: SystemTime,
    },
    /// The private key does not belong to the certificate.
    #[error("the private key in {key:?} does not belong to the certificate in {certificate:?}")]
    KeyMismatch {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
    },
    /// The certificate or the key is malformed, or of a kind that is not supported.
    #[error("the certificate in {certificate:?} cannot be used with the key in {key:?}: {cause}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// The key's file.
        key: PathBuf,
        /// What is wrong with them.
        cause: String,
    },
}
