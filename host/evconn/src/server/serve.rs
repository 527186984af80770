//! Serving in one call.

use super::{Served, Server};
use crate::{Error, Limits, Listener, Service, Shutdown};

/// Serve the listener's connections until `shutdown` says so.
///
/// Each connection gets a fresh instance of the service, in a store of its own. A trap in it, or an
/// error that it returns, ends that connection: it is logged with its number and its peer, and no
/// other connection notices. At most [`Limits::max_connections`] are open at a time; the next one
/// is not even accepted before one of them ends.
///
/// The listener's callback is replaced. When this returns, the listener is closed. There is more that
/// a [`Server`] can be told.
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
/// [`Error::TooManyConnections`] if the host has no room for that many; [`Error::Socket`],
/// [`Error::Acceptor`] or [`Error::Closed`] if the listener ended before `shutdown` said so. Open
/// connections are given the time of grace then, too.
pub async fn serve(
    listener: Listener,
    service: Service,
    limits: Limits,
    shutdown: Shutdown,
) -> Result<Served, Error> {
    serve_all(vec![listener], service, limits, shutdown).await
}

/// Serve the connections of several listeners, as [`serve`] does those of one. The limits are for
/// all of them together; when as many connections are open as may be, each listener may have accepted
/// one more, which waits.
///
/// A listener that ends by itself is logged, and the others go on.
///
/// # Errors
/// As [`serve`], when the last listener has ended: the error is that of the one that ended first.
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
