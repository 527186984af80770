//! The stream of what a peer sends.

use super::buffers::{self, Received};
use super::output::{PERMIT, failure};
use super::pollables::SocketPollable;
use super::sending::shared;
use super::{Endpoint, turn};
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

const SMALLEST: usize = 1 << 10;
const LARGEST: usize = 256 << 10;

/// Reads no more than it expects, so that a guest that asks for much and mostly gets little costs
/// little memory: what fills the expectation raises it, what falls short of it by far lowers it. A
/// read may always return less than was asked for.
pub(crate) struct Input {
    endpoint: Arc<Endpoint>,
    expected: usize,
    ended: bool,
}

impl Input {
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            expected: SMALLEST,
            ended: false,
        }
    }

    /// What says when it is ready.
    pub(super) fn pollable(&self) -> SocketPollable {
        SocketPollable::Input(Arc::clone(&self.endpoint))
    }

    /// Receive what is there: nothing, it may be.
    pub(super) fn read_now(&mut self, size: usize) -> StreamResult<Option<Received>> {
        Ok(self.receive_now(size)?.inspect(keep_too))
    }

    /// Receive what is there or comes next.
    pub(super) async fn read_next(&mut self, size: usize) -> StreamResult<Option<Received>> {
        // However much there is to be read, others get their turn.
        tokio::task::coop::consume_budget().await;
        Ok(self.receive_next(size).await?.inspect(keep_too))
    }

    /// Send on what is there or comes next, as soon as `output` takes it: so many bytes. If they are few,
    /// this may be at the end of the [round](super::round); otherwise the kernel has all of them.
    pub(super) async fn splice(
        &mut self,
        output: &Arc<Endpoint>,
        size: usize,
    ) -> StreamResult<usize> {
        // However fast the peers are, others get their turn.
        tokio::task::coop::consume_budget().await;
        output.check_open().map_err(failure)?;
        // To ask earlier whether it takes something would be to send what was put off.
        let permitted = |cx: &mut Context<'_>| output.poll_permitted(cx).map_err(failure);
        let received = self.receive_when(permitted, size.min(PERMIT)).await?;
        let Some(received) = received else {
            return Ok(0);
        };
        let is_sent = output.put_off(&received).map_err(failure)?
            || output.send_received(&received).map_err(failure)?;
        if !is_sent {
            output.flushed().await.map_err(failure)?;
        }
        let count = received.len();
        buffers::keep(received);
        Ok(count)
    }

    fn receive_now(&mut self, size: usize) -> StreamResult<Option<Received>> {
        if self.ended {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(None);
        }
        match self.receive(size) {
            Ok(received) if received.is_empty() => {
                self.ended = true;
                Err(StreamError::Closed)
            }
            Ok(received) => {
                self.endpoint.set_was_ready();
                self.expect(received.len());
                turn::charge(received.len());
                Ok(Some(received))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => {
                self.ended = true;
                Err(StreamError::LastOperationFailed(error.into()))
            }
        }
    }

    async fn receive_next(&mut self, size: usize) -> StreamResult<Option<Received>> {
        self.receive_when(|_| Poll::Ready(Ok(())), size).await
    }

    /// The same, once there is something and this has come to be, too.
    async fn receive_when(
        &mut self,
        mut permitted: impl FnMut(&mut Context<'_>) -> Poll<StreamResult<()>>,
        size: usize,
    ) -> StreamResult<Option<Received>> {
        if self.ended {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            // An error of the socket is what the next read says.
            let _ = poll_fn(|cx| self.endpoint.poll_readable(cx)).await;
            return Ok(None);
        }
        // Where the event loop knows nothing of the socket, mostly the peer has sent something by now.
        let mut try_now = !self.endpoint.is_told_of_input();
        poll_fn(|cx| {
            loop {
                if try_now {
                    ready!(permitted(cx))?;
                    if let Some(received) = self.receive_now(size)? {
                        return Poll::Ready(Ok(Some(received)));
                    }
                }
                // Whoever is woken is so because there is something.
                try_now = true;
                // An error of the socket is what the next read says.
                let _ = ready!(self.endpoint.poll_readable(cx));
            }
        })
        .await
    }

    fn receive(&mut self, size: usize) -> io::Result<Received> {
        match self.endpoint.take_receive_failure() {
            Some(error) => Err(error),
            None => buffers::fill(size.min(self.expected), |buffer| {
                self.endpoint.try_recv(buffer)
            }),
        }
    }

    fn expect(&mut self, count: usize) {
        if count >= self.expected {
            self.expected = (4 * self.expected).min(LARGEST);
        } else if count < self.expected / 8 {
            self.expected = (self.expected / 4).max(SMALLEST);
        }
    }
}

/// Use the buffer again, when the guest has what is in it.
fn keep_too(received: &Received) {
    buffers::keep(Arc::clone(received));
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        Ok(self.read_now(size)?.map_or_else(Bytes::new, shared))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        Ok(self.read_next(size).await?.map_or_else(Bytes::new, shared))
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        poll_fn(|cx| self.endpoint.poll_input_ready(cx)).await;
        // However often it is asked, others get their turn. What is not ready costs nothing of that.
        tokio::task::coop::consume_budget().await;
    }
}

#[cfg(test)]
mod tests {
    use super::super::Plain;
    use super::*;
    use socket2::SockRef;
    use std::time::Duration;

    /// The kernel says it once, be it to a look or to a read.
    #[tokio::test]
    async fn a_reset_that_is_waited_for_is_no_regular_end() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await;
        let listener = listener.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = std::net::TcpStream::connect(address).expect("connected");
        let (stream, address) = listener.accept().await.expect("accepted");
        let mut input = Input::new(Arc::new(Endpoint::new(
            Plain::tcp(stream.into_std().expect("a socket")),
            address,
        )));

        let linger = SockRef::from(&peer).set_linger(Some(Duration::ZERO));
        linger.expect("linger set");
        drop(peer);
        for _ in 0..2 {
            input.ready().await;
        }
        match input.read(1) {
            Err(StreamError::LastOperationFailed(error)) => {
                let error: io::Error = error.downcast().expect("an error of the socket");
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
            other => panic!("it was reset, and not {other:?}"),
        }
        assert!(matches!(input.read(1), Err(StreamError::Closed)));
    }
}
