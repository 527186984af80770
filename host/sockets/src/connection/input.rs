//! The stream of what a peer sends.

use crate::Endpoint;
use crate::connection::buffers::{self, Received};
use crate::connection::output::{PERMIT, failure};
use crate::connection::sending::shared;
use crate::connection::turn;
use crate::p2::incoming::Incoming;
use crate::p2::pollables::SocketPollable;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{InputStream, Pollable, StreamError, StreamResult};

const SMALLEST: usize = 1 << 10;

/// The kernel acknowledges after each read, and the fewer there are the better; but a buffer of more than
/// this does not stay in a core's cache.
const LARGEST: usize = 512 << 10;

/// From how much on it is worth to ask the kernel first how much there is, and to spare a copy.
const MUCH: usize = 16 << 10;

const AT_ONCE: fn(&mut Context<'_>) -> Poll<StreamResult<()>> = |_| Poll::Ready(Ok(()));

/// Reads no more than it expects, so that a guest that asks for much and mostly gets little costs
/// little memory: what fills the expectation raises it, what falls short of it by far lowers it. A
/// read may always return less than was asked for.
pub struct Input {
    /// None: it was [revoked](Self::revoke).
    endpoint: Option<Arc<Endpoint>>,
    expected: usize,
    ended: bool,
}

impl Input {
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint: Some(endpoint),
            expected: SMALLEST,
            ended: false,
        }
    }

    /// Take it away from whoever has not dropped it: to them, it has ended.
    pub(crate) fn revoke(&mut self) {
        self.endpoint = None;
        self.ended = true;
    }

    /// Whether it is this connection's.
    pub(crate) fn is_of(&self, connection: &Arc<Endpoint>) -> bool {
        let endpoint = self.endpoint.as_ref();
        endpoint.is_some_and(|endpoint| Arc::ptr_eq(endpoint, connection))
    }

    /// What says when it is ready.
    pub(crate) fn pollable(&self) -> SocketPollable {
        match &self.endpoint {
            Some(endpoint) => SocketPollable::Input(Arc::clone(endpoint)),
            None => SocketPollable::Revoked,
        }
    }

    fn endpoint(&self) -> StreamResult<&Arc<Endpoint>> {
        self.endpoint.as_ref().ok_or(StreamError::Closed)
    }

    /// What is there for a guest: nothing, it may be.
    pub(crate) fn read_now(&mut self, size: usize) -> StreamResult<Option<Incoming>> {
        if let Some(count) = self.at_hand(size) {
            return Ok(Some(Incoming::AtHand(Arc::clone(self.endpoint()?), count)));
        }
        let received = self.receive_now(size)?.inspect(keep_too);
        Ok(received.map(Incoming::Received))
    }

    /// What is there for a guest or comes next.
    pub(crate) async fn read_next(&mut self, size: usize) -> StreamResult<Option<Incoming>> {
        // However much there is to be read, others get their turn.
        tokio::task::coop::consume_budget().await;
        self.when(AT_ONCE, size, Self::read_now).await
    }

    /// Send on what is there or comes next, as soon as `output` takes it: so many bytes. If they are few,
    /// this may be at the end of the [round](crate::connection::round); otherwise the kernel has all of them.
    pub(crate) async fn splice(
        &mut self,
        output: &Arc<Endpoint>,
        size: usize,
    ) -> StreamResult<usize> {
        // However fast the peers are, others get their turn.
        tokio::task::coop::consume_budget().await;
        output.check_open().map_err(failure)?;
        // To ask earlier whether it takes something would be to send what was put off.
        let permitted = |cx: &mut Context<'_>| output.poll_permitted(cx).map_err(failure);
        let received = self
            .when(permitted, size.min(PERMIT), Self::receive_now)
            .await?;
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
        match self.receive(self.endpoint()?, size) {
            Ok(received) if received.is_empty() => {
                self.ended = true;
                Err(StreamError::Closed)
            }
            Ok(received) => {
                self.has_received(received.len());
                Ok(Some(received))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(None),
            Err(error) => {
                self.ended = true;
                Err(StreamError::LastOperationFailed(error.into()))
            }
        }
    }

    /// How much there is of as much as is worth to be received by the kernel right to where a guest wants
    /// it. It is to be received, then.
    fn at_hand(&mut self, size: usize) -> Option<usize> {
        let size = size.min(self.expected);
        if self.ended || size < MUCH {
            return None;
        }
        let count = self.endpoint.as_ref()?.at_hand(size);
        (count > 0).then(|| {
            self.has_received(count);
            count
        })
    }

    /// What `receive` finds, once there is something and this has come to be, too.
    async fn when<R>(
        &mut self,
        mut permitted: impl FnMut(&mut Context<'_>) -> Poll<StreamResult<()>>,
        size: usize,
        receive: impl Fn(&mut Self, usize) -> StreamResult<Option<R>>,
    ) -> StreamResult<Option<R>> {
        if self.ended {
            return Err(StreamError::Closed);
        }
        if size == 0 {
            let endpoint = self.endpoint()?;
            // An error of the socket is what the next read says.
            let _ = poll_fn(|cx| endpoint.poll_readable(cx)).await;
            return Ok(None);
        }
        // Where the event loop knows nothing of the socket, mostly the peer has sent something by now.
        let mut try_now = !self.endpoint()?.is_told_of_input();
        poll_fn(|cx| {
            loop {
                if try_now {
                    ready!(permitted(cx))?;
                    if let Some(received) = receive(self, size)? {
                        return Poll::Ready(Ok(Some(received)));
                    }
                }
                // Whoever is woken is so because there is something.
                try_now = true;
                // An error of the socket is what the next read says.
                let _ = ready!(self.endpoint()?.poll_readable(cx));
            }
        })
        .await
    }

    fn receive(&self, endpoint: &Endpoint, size: usize) -> io::Result<Received> {
        match endpoint.take_receive_failure() {
            Some(error) => Err(error),
            None => buffers::fill(size.min(self.expected), |buffer| endpoint.try_recv(buffer)),
        }
    }

    fn has_received(&mut self, count: usize) {
        if let Some(endpoint) = &self.endpoint {
            endpoint.set_was_ready();
        }
        self.expect(count);
        turn::charge(count);
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
        let received = self.receive_now(size)?.inspect(keep_too);
        Ok(received.map_or_else(Bytes::new, shared))
    }

    async fn blocking_read(&mut self, size: usize) -> StreamResult<Bytes> {
        // However much there is to be read, others get their turn.
        tokio::task::coop::consume_budget().await;
        let received = self.when(AT_ONCE, size, Self::receive_now).await?;
        Ok(received.inspect(keep_too).map_or_else(Bytes::new, shared))
    }
}

#[async_trait]
impl Pollable for Input {
    async fn ready(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            poll_fn(|cx| endpoint.poll_input_ready(cx)).await;
        }
        // However often it is asked, others get their turn. What is not ready costs nothing of that.
        tokio::task::coop::consume_budget().await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plain;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    /// An input and its peer.
    async fn accepted() -> (Input, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = TcpStream::connect(address).await.expect("connected");
        let (stream, address) = listener.accept().await.expect("accepted");
        let stream = stream.into_std().expect("a socket");
        let endpoint = Endpoint::new(Plain::tcp(stream), address);
        (Input::new(Arc::new(endpoint)), peer)
    }

    /// The same; it is about to read much at a time.
    async fn expecting_much() -> (Input, TcpStream) {
        let (mut input, peer) = accepted().await;
        input.expected = LARGEST;
        (input, peer)
    }

    /// What the next read brings, as far as it gets to the guest.
    async fn next(input: &mut Input) -> Result<Vec<u8>, StreamError> {
        let read = tokio::time::timeout(Duration::from_secs(60), input.read_next(LARGEST));
        match read.await.expect("in time")? {
            Some(Incoming::Received(bytes)) => Ok(bytes.to_vec()),
            Some(Incoming::AtHand(endpoint, count)) => {
                let mut bytes = vec![0; count];
                let received = endpoint.receive_at_hand(&mut bytes);
                bytes.truncate(received);
                Ok(bytes)
            }
            None => Ok(Vec::new()),
        }
    }

    #[tokio::test]
    async fn what_is_at_hand_is_all_there_is_and_what_follows_is_told() {
        let (mut input, mut peer) = expecting_much().await;
        for size in [1, 100, LARGEST, 3 * LARGEST + 1] {
            let sent: Vec<u8> = (0..size).map(|i| (i / 7) as u8).collect();
            let to_send = sent.clone();
            let sending = tokio::spawn(async move {
                peer.write_all(&to_send).await.expect("sent");
                peer
            });
            let mut received = Vec::new();
            while received.len() < size {
                input.expected = LARGEST;
                received.extend(next(&mut input).await.expect("bytes"));
            }
            assert!(received == sent, "{size} bytes came changed");
            peer = sending.await.expect("sent");
            assert!(matches!(input.read_now(LARGEST), Ok(None)));
        }
    }

    #[tokio::test]
    async fn an_end_behind_what_is_at_hand_is_told() {
        let (mut input, mut peer) = expecting_much().await;
        peer.write_all(&[1; 100]).await.expect("sent");
        peer.shutdown().await.expect("ended");
        input.ready().await;
        assert_eq!(next(&mut input).await.expect("bytes"), [1; 100]);
        input.expected = LARGEST;
        assert!(matches!(next(&mut input).await, Err(StreamError::Closed)));
    }

    /// Whether what was counted is still there then is up to the kernel.
    #[tokio::test]
    async fn a_reset_before_the_bytes_are_fetched_is_no_regular_end() {
        let (mut input, mut peer) = expecting_much().await;
        peer.write_all(&[1; 100]).await.expect("sent");
        input.ready().await;
        let read = input.read_now(LARGEST).expect("bytes");
        let Some(Incoming::AtHand(endpoint, 100)) = read else {
            panic!("100 bytes are at hand, and not {read:?}");
        };
        peer.set_zero_linger().expect("linger set");
        drop(peer);
        let mut bytes = [0; 100];
        let received = endpoint.receive_at_hand(&mut bytes);
        assert_eq!(bytes[..received], [1; 100][..received]);
        match next(&mut input).await {
            Err(StreamError::LastOperationFailed(error)) => {
                let error: io::Error = error.downcast().expect("an error of the socket");
                assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
            }
            other => panic!("it was reset, and not {other:?}"),
        }
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn urgent_data_is_nothing_to_be_ready_for() {
        let (mut input, mut peer) = accepted().await;
        peer.write_all(b"one").await.expect("sent");
        input.ready().await;
        assert_eq!(next(&mut input).await.expect("bytes"), b"one");
        let sent = socket2::SockRef::from(&peer).send_out_of_band(b"!");
        assert_eq!(sent.expect("sent"), 1);
        let told = async {
            let endpoint = input.endpoint.clone().expect("it is open");
            while !endpoint.plain().has_urgent() {
                tokio::task::yield_now().await;
            }
        };
        let told = tokio::time::timeout(Duration::from_secs(60), told);
        told.await.expect("the event loop tells of it");
        assert!(futures_util::poll!(std::pin::pin!(input.ready())).is_pending());
        peer.write_all(b"two").await.expect("sent");
        input.ready().await;
        assert_eq!(next(&mut input).await.expect("bytes"), b"two");
    }

    /// The kernel says it once, be it to a look or to a read.
    #[tokio::test]
    async fn a_reset_that_is_waited_for_is_no_regular_end() {
        let (mut input, peer) = accepted().await;
        peer.set_zero_linger().expect("linger set");
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
