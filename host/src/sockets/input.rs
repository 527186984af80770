//! The stream of what a peer sends.

use super::Endpoint;
use super::buffers;
use bytes::{Bytes, BytesMut};
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
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
    /// It was ready once. From then on the kernel's word is reliable.
    was_ready: bool,
    ended: bool,
    /// What went wrong while nobody read: the next read says so.
    failure: Option<io::Error>,
}

impl Input {
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            expected: SMALLEST,
            was_ready: false,
            ended: false,
            failure: None,
        }
    }

    /// Receive into a buffer. Empty: nothing is there.
    fn receive(&mut self, size: usize) -> io::Result<BytesMut> {
        if let Some(error) = self.failure.take() {
            self.ended = true;
            return Err(error);
        }
        let size = size.min(self.expected);
        let mut buffer = buffers::take(size);
        match self
            .endpoint
            .try_recv(&mut buffer.spare_capacity_mut()[..size])
        {
            Ok(count) => {
                // SAFETY: that many bytes were received to the start of the buffer, which was empty.
                unsafe { buffer.set_len(count) };
                self.was_ready = true;
                self.expect(count);
                self.ended = count == 0;
                Ok(buffer)
            }
            Err(error) => {
                buffers::give_mut(buffer);
                if error.kind() == io::ErrorKind::WouldBlock {
                    return Ok(BytesMut::new());
                }
                self.ended = true;
                Err(error)
            }
        }
    }

    fn expect(&mut self, count: usize) {
        if count >= self.expected {
            self.expected = (4 * self.expected).min(LARGEST);
        } else if count < self.expected / 8 {
            self.expected = (self.expected / 4).max(SMALLEST);
        }
    }

    async fn readable(&self) {
        // An error of the socket is what the next read says.
        let _ = poll_fn(|cx| self.endpoint.poll_readable(cx)).await;
    }
}

#[async_trait]
impl InputStream for Input {
    fn read(&mut self, size: usize) -> StreamResult<Bytes> {
        if self.ended {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            return Ok(Bytes::new());
        }
        let bytes = self
            .receive(size)
            .map_err(|error| StreamError::LastOperationFailed(error.into()))?;
        if self.ended {
            return Err(StreamError::Closed);
        }
        Ok(bytes.freeze())
    }

    /// The socket is tried first: mostly the peer has sent something by now.
    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        // However much there is to be read, others get their turn.
        tokio::task::coop::consume_budget().await;
        loop {
            let bytes = self.read(size)?;
            if !bytes.is_empty() {
                return Ok(bytes);
            }
            self.readable().await;
            if size == 0 {
                return Ok(bytes);
            }
        }
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        loop {
            self.readable().await;
            if self.was_ready || self.failure.is_some() {
                break;
            }
            // A socket may count as readable until a first attempt has failed (tokio from 1.54 on).
            match self.endpoint.has_input() {
                Ok(true) => break,
                Ok(false) => {}
                Err(error) => self.failure = Some(error),
            }
        }
        self.was_ready = true;
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
        let mut input = Input::new(Arc::new(Endpoint::new(Plain::Tcp(stream), address)));

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
