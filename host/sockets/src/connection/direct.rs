//! Receiving and sending right into and from the memory of whoever does it, without a buffer in between.

use super::budget;
use super::endpoint::Endpoint;
use super::reader::Reader;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use tokio::task::coop::poll_proceed;

/// Which of two connections has failed, so that bytes were not moved between them.
#[derive(Debug)]
pub(crate) enum Unmoved {
    Receiving(io::Error),
    Sending(io::Error),
}

impl Endpoint {
    /// Waits until there is something to receive, and receives up to the size of the buffer. 0: the peer has ended its
    /// side. However much there is, other tasks get their time slice.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn poll_receive_into(
        &self,
        cx: &mut Context<'_>,
        buffer: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let unit = ready!(poll_proceed(cx));
        loop {
            let received = match self.take_receive_failure() {
                Some(error) => Err(error),
                None => self.try_recv(buffer),
            };
            match received {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    // The next attempt reports an error of the socket.
                    let _ = ready!(self.poll_readable(cx));
                }
                Err(error) => return Poll::Ready(Err(error)),
                Ok(count) => {
                    unit.made_progress();
                    self.set_was_ready();
                    budget::charge(count);
                    return Poll::Ready(Ok(count));
                }
            }
        }
    }

    /// Sends all that is received from here on to another connection, or back to the same peer, until the end.
    pub(crate) async fn send_on_to(self: &Arc<Self>, other: &Self) -> Result<(), Unmoved> {
        let mut reader = Reader::new(Arc::clone(self));
        loop {
            match reader.splice(other, usize::MAX).await {
                Ok(Some(_)) => {}
                Ok(None) => return Ok(()),
                Err(error) if reader.has_ended() => return Err(Unmoved::Receiving(error)),
                Err(error) => return Err(Unmoved::Sending(error)),
            }
        }
    }

    /// Waits until there is something to receive, or the end, or an error, which is kept.
    pub fn poll_receivable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let unit = ready!(poll_proceed(cx));
        ready!(self.poll_input_ready(cx));
        unit.made_progress();
        Poll::Ready(())
    }

    /// Waits until some of the bytes are taken, and returns how many. None of them are kept for later. However much the
    /// peer takes, other tasks get their time slice.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn poll_send_from(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let unit = ready!(poll_proceed(cx));
        let sent = ready!(self.poll_send(cx, bytes))?;
        unit.made_progress();
        budget::charge(sent);
        Poll::Ready(Ok(sent))
    }

    /// Waits until something may be sent, or nothing more, which the next attempt reports.
    pub fn poll_sendable(&self, cx: &mut Context<'_>) -> Poll<()> {
        let unit = ready!(poll_proceed(cx));
        let _ = ready!(self.link.transport.poll_writable(cx));
        unit.made_progress();
        Poll::Ready(())
    }
}
