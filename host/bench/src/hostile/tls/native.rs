//! The TLS server that one would write with tokio and rustls. Like the program `hostile` it answers the first
//! line, and echoes what follows.

use crate::peers;
use anyhow::{Context, Result};
use std::io;
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::pem::PemObject;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};

/// The subcommand of this program that is this server. For the benchmark itself only.
pub const SUBCOMMAND: &str = "tls-server";

const BUFFER: usize = 64 << 10;

/// The line that begins an echo, and the answer to it.
const LINE: &[u8] = b"echo\n";
const ANSWER: &[u8] = b"ok\n";

/// Serves. The arguments are the files of a certificate and its key.
pub fn run(mut arguments: impl Iterator<Item = String>) -> Result<()> {
    let certificate = arguments.next().context("no certificate")?;
    let key = arguments.next().context("no key")?;
    let chain: Result<Vec<_>, _> = CertificateDer::pem_file_iter(certificate)?.collect();
    let builder = ServerConfig::builder_with_provider(Arc::new(default_provider()));
    let config = builder
        .with_safe_default_protocol_versions()?
        .with_no_client_auth()
        .with_single_cert(chain?, PrivateKeyDer::from_pem_file(key)?)?;
    crate::runtime()?.block_on(accept(TlsAcceptor::from(Arc::new(config))))
}

async fn accept(acceptor: TlsAcceptor) -> Result<()> {
    let listener = peers::listen()?;
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let acceptor = acceptor.clone();
        // If it fails, the client notices.
        tokio::spawn(async move { echo(acceptor, stream).await });
    }
}

async fn echo(acceptor: TlsAcceptor, stream: TcpStream) -> io::Result<()> {
    let mut session = acceptor.accept(stream).await?;
    session.read_exact(&mut [0; LINE.len()]).await?;
    session.write_all(ANSWER).await?;
    session.flush().await?;
    let mut buffer = vec![0; BUFFER];
    loop {
        match session.read(&mut buffer).await? {
            0 => return Ok(()),
            count => session.write_all(&buffer[..count]).await?,
        }
        session.flush().await?;
    }
}
