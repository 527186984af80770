//! What a filter calls: the handler of what is behind it.

use super::bindings::next::evconn::tcp::handler::handle;
use super::bindings::{wit_future, wit_stream};
use super::reader::Opening;
use super::service::Finish;
use super::{Connection, ErrorCode, Reader, Writer};
use std::future::poll_fn;
use std::task::Poll;

/// Passes a connection on to the next handler, of the service or of another filter: for a filter, which `evconn serve`
/// puts in front of a service by `--through`. Returns the two halves of the peer's side, and those of the next handler's.
///
/// What is written to the second [`Writer`] is what the next handler receives. Closing it is the end of what its peer
/// sends; dropping it without that is a connection that was lost. A write fails with `BrokenPipe` if the next handler
/// reads no more, which is no failure of the connection. What the handler sends is read from the second [`Reader`]:
/// its error is that of the handler, by which the connection is to be reset.
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
///     match copy(from, &mut to).await {
///         // Nobody takes it any more.
///         Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
///         Err(error) => Err(error),
///         Ok(_) => to.close().await,
///     }
/// }
///
/// evconn_guest::p3_service!(filter);
/// # fn main() {}
/// ```
pub async fn next(connection: Connection) -> ((Reader, Writer), (Reader, Writer)) {
    let (known, from_peer, to_peer) = connection.into_parts();
    let (writer, received) = wit_stream::new();
    // As long as the writer was not closed, what was written is not complete.
    let (finish, ended) = wit_future::new(|| Err(ErrorCode::ConnectionAborted));
    let mut call: Opening = Box::pin(handle(known, received, ended));
    // The handler is called now, and goes on by itself.
    let begun = poll_fn(|cx| Poll::Ready(call.as_mut().poll(cx))).await;
    let call = match begun {
        Poll::Ready(reply) => Box::pin(std::future::ready(reply)),
        Poll::Pending => call,
    };
    let to_next = Writer::new(writer).with_finish(Finish::new(finish));
    ((from_peer, to_peer), (Reader::of_call(call), to_next))
}
