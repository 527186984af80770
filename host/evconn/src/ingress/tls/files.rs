//! Reads a certificate and its key from files.

use super::TlsError;
use super::error::PemSource;
use super::pem::{Loaded, Pem};
use crate::privacy;
use rustls::crypto::CryptoProvider;
use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::path::{Path, PathBuf};

/// The files of a certificate and its key.
#[derive(Clone, Debug)]
pub(super) struct Files {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Files {
    /// Reads and checks the files as they are now.
    pub(super) fn load(&self, provider: &CryptoProvider) -> Result<Loaded, TlsError> {
        let (certificate, _) = read(&self.certificate)?;
        let (key, metadata) = read(&self.key)?;
        let pem = Pem {
            certificate: (PemSource::file(&self.certificate), certificate),
            key: (PemSource::file(&self.key), key),
        };
        let loaded = pem.load(provider)?;
        warn_of_others(&self.key, &metadata);
        Ok(loaded)
    }
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
