//! Serving with a single call.

use super::Server;
use crate::{Error, Limits, Listener, Served, Service, Shutdown};

/// Serves the listener's connections until `shutdown` begins.
///
/// Each connection gets a fresh instance of the service, in a store of its own. If the instance traps or
/// returns an error, its connection ends, which is logged with the connection's number and peer; no other
/// connection is affected. Up to [`Limits::max_connections`] are open at a time; the next one is not even
/// accepted before one of them ends.
///
/// The listener's callback is replaced, and the listener is closed when this returns. A [`Server`] has
/// more settings.
///
/// ```
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// use evconn::{Host, Limits, Listener, Service, Shutdown, guests};
/// use tokio::io::{AsyncReadExt, AsyncWriteExt};
///
/// let host = Host::new()?;
/// let service = Service::new(&host, guests::ECHO)?;
/// let listener = Listener::bind(&host, "127.0.0.1:0".parse()?).await?;
/// let address = listener.local_addr();
///
/// let (stop, stopped) = tokio::sync::oneshot::channel::<()>();
/// let shutdown = Shutdown::on(stopped);
/// let server = tokio::spawn(evconn::serve(listener, service, Limits::default(), shutdown));
///
/// let mut peer = tokio::net::TcpStream::connect(address).await?;
/// peer.write_all(b"hello").await?;
/// peer.shutdown().await?;
/// let mut answer = String::new();
/// peer.read_to_string(&mut answer).await?;
/// assert_eq!(answer, "hello");
///
/// drop(stop);
/// assert_eq!(server.await??.connections, 1);
/// # Ok(())
/// # }
/// ```
///
/// # Errors
/// [`Error::TooManyConnections`] if the host was not configured for as many connections;
/// [`Error::Socket`], [`Error::Acceptor`] or [`Error::Closed`] if the listener stopped before `shutdown`
/// began. Open connections get the grace period in this case, too.
pub async fn serve(
    listener: Listener,
    service: Service,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<Served, Error> {
    serve_all(vec![listener], service, limits, shutdown).await
}

/// Serves the connections of several listeners like [`serve`]. The limits apply to all of them together.
/// When the maximum number of connections is open, each listener may have accepted one more, which waits.
///
/// A listener that stops because of an error is logged, and the others continue.
///
/// # Errors
/// As [`serve`], when the last listener has stopped: the error of the one that stopped first.
pub async fn serve_all(
    listeners: Vec<Listener>,
    service: Service,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<Served, Error> {
    let builder = Server::builder(&service).limits(limits);
    let builder = listeners
        .into_iter()
        .fold(builder, |builder, listener| builder.listener(listener));
    builder.bind().await?.run(shutdown).await
}
