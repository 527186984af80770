//! What a filter calls: the handler of what is behind it.

use super::bindings::next::evconn::tcp::handler::handle;
use super::bindings::{wit_future, wit_stream};
use super::reader::Opening;
use super::{Connection, Reader, Writer};
use std::future::poll_fn;
use std::task::Poll;

/// Passes a connection on to the next handler, of the service or of another filter: for a filter, which `evconn serve`
/// puts in front of a service by `--through`. Returns the two halves of the peer's side, and those of the next handler's.
///
/// What is written to the second [`Writer`] is what the next handler receives. Closing or dropping it is the end of that;
/// how the peer's side has ended is told to the next handler alone, so that the first [`Reader`] ends without an error if
/// the connection is lost. A write fails with `BrokenPipe` if the next handler reads no more, which is no failure of the
/// connection. What the handler sends is read from the second [`Reader`], whose error is that of the handler: the
/// connection is to be reset.
///
/// ```no_run
/// use evconn_guest::p3::{Connection, Reader, Writer, next};
/// use futures::io::copy;
/// use futures::{AsyncWriteExt, try_join};
/// use std::io;
///
/// /// A filter that changes nothing.
/// async fn filter(connection: Connection) -> io::Result<()> {
///     let ((from_peer, to_peer), (from_next, to_next)) = next(connection).await;
///     try_join!(pass(from_peer, to_next), pass(from_next, to_peer))?;
///     Ok(())
/// }
///
/// async fn pass(from: Reader, mut to: Writer) -> io::Result<()> {
///     let passed = async {
///         copy(from, &mut to).await?;
///         to.close().await
///     };
///     match passed.await {
///         // Nobody takes it any more.
///         Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
///         passed => passed,
///     }
/// }
///
/// evconn_guest::p3_service!(filter);
/// # fn main() {}
/// ```
pub async fn next(connection: Connection) -> ((Reader, Writer), (Reader, Writer)) {
    let (known, mut from_peer, to_peer) = connection.into_parts();
    let (writer, received) = wit_stream::new();
    // The host's, if possible: the next handler may return it, and a component cannot read a future of its own.
    let ended = from_peer.take_ended();
    let ended = ended.unwrap_or_else(|| wit_future::new(|| Ok(())).1);
    let mut call: Opening = Box::pin(handle(known, received, ended));
    // The handler is called now, and goes on by itself.
    let begun = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    let call = match begun {
        Poll::Ready(reply) => Box::pin(std::future::ready(reply)),
        Poll::Pending => call,
    };
    let from_next = Reader::of_call(call);
    ((from_peer, to_peer), (from_next, Writer::new(writer)))
}
