//! A client, its certificates, and both ends of a connection.

use crate::ingress::refused::Refused;
use crate::ingress::tls::{TlsConfig, handshake};
use crate::sockets::{Plain, TlsSession};
use rcgen::{CertificateParams, KeyPair};
use rustls::pki_types::{CertificateDer, ServerName};
use rustls::{
    ClientConfig, ClientConnection, RootCertStore, StreamOwned, SupportedProtocolVersion,
};
use std::future::{Future, poll_fn};
use std::io::ErrorKind;
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::net::TcpListener;

/// The deadline of all waits, far more than any of them takes.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// Waits for `future`, up to the deadline.
pub async fn within<T>(future: impl Future<Output = T>) -> T {
    let waiting = tokio::time::timeout(DEADLINE, future);
    waiting.await.expect("it is done in time")
}

/// A directory that is removed at the end of its test.
pub struct TestDirectory(PathBuf);

impl TestDirectory {
    pub fn new() -> Self {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let name = format!("evconn-tls-{}-{number}", std::process::id());
        let path = std::env::temp_dir().join(name);
        std::fs::create_dir(&path).expect("a directory");
        Self(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::write(&path, text).expect("written");
        path
    }
}

impl Drop for TestDirectory {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// Returns a self-signed certificate for `localhost` in `cert.pem` and its key in `key.pem`.
pub fn make_certificate(directory: &TestDirectory) -> CertificateDer<'static> {
    make_certificate_with(directory, |_| {})
}

pub fn make_certificate_with(
    directory: &TestDirectory,
    change: impl FnOnce(&mut CertificateParams),
) -> CertificateDer<'static> {
    let key = KeyPair::generate().expect("a key");
    let names = vec!["localhost".to_owned()];
    let mut params = CertificateParams::new(names).expect("a name");
    change(&mut params);
    let certificate = params.self_signed(&key).expect("signed");
    directory.write("cert.pem", &certificate.pem());
    directory.write("key.pem", &key.serialize_pem());
    certificate.der().clone()
}

pub fn load(directory: &TestDirectory) -> TlsConfig {
    TlsConfig::from_files(directory.path("cert.pem"), directory.path("key.pem")).expect("usable")
}

/// Returns a server's configuration with a new certificate, and a client's that trusts it.
pub fn configs() -> (TlsConfig, ClientConfig) {
    let directory = TestDirectory::new();
    let certificate = make_certificate(&directory);
    (load(&directory), trusting(certificate))
}

pub fn trusting(certificate: CertificateDer<'static>) -> ClientConfig {
    trusting_with_versions(certificate, rustls::DEFAULT_VERSIONS)
}

pub fn trusting_with_versions(
    certificate: CertificateDer<'static>,
    versions: &[&'static SupportedProtocolVersion],
) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add(certificate).expect("a root");
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(versions)
        .expect("versions")
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Both ends of a connection.
pub async fn pair() -> (Plain, TcpStream) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    // The kernel completes the handshake of TCP.
    let peer = TcpStream::connect(address).expect("connected");
    peer.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    let (stream, _) = listener.accept().await.expect("accepted");
    // As with the sockets of a listener. Without it, each round trip may wait for a delayed ACK.
    peer.set_nodelay(true).expect("set");
    stream.set_nodelay(true).expect("set");
    (Plain::tcp(stream.into_std().expect("a socket")), peer)
}

/// A client's stream. It blocks, so each is used in a thread of its own.
pub type Client = StreamOwned<ClientConnection, TcpStream>;

pub fn client(config: ClientConfig, stream: TcpStream) -> Client {
    let name = ServerName::try_from("localhost").expect("a name");
    let client = ClientConnection::new(Arc::new(config), name).expect("a client");
    StreamOwned::new(client, stream)
}

/// Runs the handshake while a client does something. Returns both outcomes.
pub async fn meet<T: Send + 'static>(
    server: &TlsConfig,
    peer: impl FnOnce(TcpStream) -> T + Send + 'static,
) -> (Result<TlsSession, Refused>, tokio::task::JoinHandle<T>) {
    let (plain, stream) = pair().await;
    let peer = tokio::task::spawn_blocking(move || peer(stream));
    let session = within(handshake(&plain, server)).await;
    (
        session.map(|tls| TlsSession::new(Arc::new(plain), tls)),
        peer,
    )
}

pub fn try_recv(session: &TlsSession, buffer: &mut [u8]) -> std::io::Result<usize> {
    session.try_recv(buffer)
}

pub async fn readable(session: &TlsSession) {
    let ready = poll_fn(|cx| session.poll_readable(cx));
    within(ready).await.expect("readable");
}

/// Waits until it is writable. An error is reported by the next attempt to send.
pub async fn writable(session: &TlsSession) {
    let _ = within(poll_fn(|cx| session.poll_writable(cx))).await;
}

/// Reads as soon as something has arrived.
pub async fn receive(session: &TlsSession, buffer: &mut [u8]) -> std::io::Result<usize> {
    loop {
        match try_recv(session, buffer) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => readable(session).await,
            result => return result,
        }
    }
}

/// Sends all of it.
pub async fn send(session: &TlsSession, mut bytes: &[u8]) -> std::io::Result<()> {
    while !bytes.is_empty() {
        match session.try_send(bytes) {
            Err(error) if error.kind() == ErrorKind::WouldBlock => writable(session).await,
            result => bytes = &bytes[result?..],
        }
    }
    Ok(())
}

/// Echoes what arrives, until the end.
pub async fn echo(session: &TlsSession) -> std::io::Result<()> {
    let mut buffer = vec![0; 20_000];
    loop {
        match receive(session, &mut buffer).await? {
            0 => return Ok(()),
            count => send(session, &buffer[..count]).await?,
        }
    }
}

pub fn error(certificate: &Path, key: &Path) -> String {
    TlsConfig::from_files(certificate, key)
        .expect_err("not usable")
        .to_string()
}
