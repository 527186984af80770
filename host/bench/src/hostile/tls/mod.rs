//! TLS in the benchmark: a certificate, clients that trust everybody, and a native server.

mod client;
mod handshakes;
mod native;

pub use client::config;
pub use handshakes::{Handshakes, SUBCOMMAND as HANDSHAKES, Shaken, run as handshake_as};
pub use native::{SUBCOMMAND as NATIVE, run as serve_as};

use anyhow::{Context, Result};
use std::fs;
use std::path::{Path, PathBuf};

/// The files of a certificate and its key.
pub struct Certificate {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

impl Certificate {
    pub fn make(directory: &Path) -> Result<Self> {
        let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]);
        let made = made.context("a certificate")?;
        let (certificate, key) = (directory.join("cert.pem"), directory.join("key.pem"));
        fs::write(&certificate, made.cert.pem())?;
        fs::write(&key, made.signing_key.serialize_pem())?;
        Ok(Self { certificate, key })
    }
}
