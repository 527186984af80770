//! Reading: as much at a time as a connection mostly has, into buffers that are used again.

use super::budget;
use super::buffers::{self, Received};
use super::endpoint::Endpoint;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use std::task::{Context, Poll, ready};

const SMALLEST: usize = 1 << 10;

/// The kernel acknowledges after each read, and the fewer there are the better; but a buffer of more than
/// this does not stay in a core's cache.
const LARGEST: usize = 512 << 10;

const AT_ONCE: fn(&mut Context<'_>) -> Poll<io::Result<()>> = |_| Poll::Ready(Ok(()));

/// Reads no more than it expects, so that a guest that asks for much and mostly gets little costs
/// little memory: what fills the expectation raises it, what falls short of it by far lowers it. A
/// read may always return less than was asked for.
#[derive(Debug)]
pub struct Reader {
    endpoint: Arc<Endpoint>,
    expected: usize,
    has_ended: bool,
}

/// What a read finds.
#[derive(Debug)]
pub enum Read {
    /// Some bytes.
    Bytes(Received),
    /// Nothing, for now.
    Nothing,
    /// The end: there will be no more bytes. Reading goes on to find it after an error, too.
    End,
}

impl Reader {
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint,
            expected: SMALLEST,
            has_ended: false,
        }
    }

    pub fn endpoint(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Returns whether there is nothing more to be read, after the end or an error.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Reads what is there. `ConnectionReset` if the peer is gone.
    pub fn read(&mut self, size: usize) -> io::Result<Read> {
        let read = self.receive(size)?;
        if let Read::Bytes(received) = &read {
            // The buffer is used again when the guest has what is in it.
            buffers::keep(Arc::clone(received));
        }
        Ok(read)
    }

    /// Reads what is there or comes next.
    pub async fn read_next(&mut self, size: usize) -> io::Result<Read> {
        // However much there is to be read, other tasks get their time slice.
        tokio::task::coop::consume_budget().await;
        self.when(AT_ONCE, size, Self::read).await
    }

    /// Sends on what is there or comes next, as soon as `output` takes it, and waits until the kernel has all
    /// of it. Returns how many bytes they are, or None at the end.
    pub async fn splice(&mut self, output: &Endpoint, size: usize) -> io::Result<Option<usize>> {
        // However fast the peers are, other tasks get their time slice.
        tokio::task::coop::consume_budget().await;
        output.check_open()?;
        let permitted = |cx: &mut Context<'_>| output.poll_permitted(cx);
        let receive = |reader: &mut Self, size: usize| reader.receive(size.min(output.permit()));
        let received = match self.when(permitted, size, receive).await? {
            Read::Bytes(received) => received,
            Read::Nothing => return Ok(Some(0)),
            Read::End => return Ok(None),
        };
        if !output.write_received(&received)? {
            output.flushed().await?;
        }
        let count = received.len();
        buffers::keep(received);
        Ok(Some(count))
    }

    fn receive(&mut self, size: usize) -> io::Result<Read> {
        if self.has_ended {
            return Ok(Read::End);
        }
        if size == 0 {
            return Ok(Read::Nothing);
        }
        match self.try_recv(size) {
            Ok(received) if received.is_empty() => {
                self.has_ended = true;
                Ok(Read::End)
            }
            Ok(received) => {
                self.has_received(received.len());
                Ok(Read::Bytes(received))
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(Read::Nothing),
            Err(error) => {
                self.has_ended = true;
                Err(as_reset(error))
            }
        }
    }

    /// Returns what `receive` finds, once there is something and `permitted` is ready, too.
    async fn when(
        &mut self,
        mut permitted: impl FnMut(&mut Context<'_>) -> Poll<io::Result<()>>,
        size: usize,
        receive: impl Fn(&mut Self, usize) -> io::Result<Read>,
    ) -> io::Result<Read> {
        if self.has_ended {
            return Ok(Read::End);
        }
        if size == 0 {
            // The next read reports an error of the socket.
            let _ = poll_fn(|cx| self.endpoint.poll_readable(cx)).await;
            return Ok(Read::Nothing);
        }
        // Where the event loop knows nothing of the socket, mostly the peer has sent something by now.
        let mut try_now = !self.endpoint.is_told_of_input();
        poll_fn(|cx| {
            loop {
                if try_now {
                    ready!(permitted(cx))?;
                    match receive(self, size)? {
                        Read::Nothing => {}
                        read => return Poll::Ready(Ok(read)),
                    }
                }
                // Whoever is woken is so because there is something.
                try_now = true;
                // The next read reports an error of the socket.
                let _ = ready!(self.endpoint.poll_readable(cx));
            }
        })
        .await
    }

    fn try_recv(&self, size: usize) -> io::Result<Received> {
        match self.endpoint.take_receive_failure() {
            Some(error) => Err(error),
            None => buffers::fill(size.min(self.expected), |buffer| {
                self.endpoint.try_recv(buffer)
            }),
        }
    }

    fn has_received(&mut self, count: usize) {
        self.endpoint.set_was_ready();
        if count >= self.expected {
            self.expected = (4 * self.expected).min(LARGEST);
        } else if count < self.expected / 8 {
            self.expected = (self.expected / 4).max(SMALLEST);
        }
        budget::charge(count);
    }
}

/// `BrokenPipe` says that a stream is closed: where a TLS session could not send, it is not.
fn as_reset(error: io::Error) -> io::Error {
    match error.kind() {
        io::ErrorKind::BrokenPipe => io::Error::new(io::ErrorKind::ConnectionReset, error),
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Plain;
    use std::time::Duration;
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    /// A reader and its peer.
    async fn accepted() -> (Reader, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = TcpStream::connect(address).await.expect("connected");
        let (stream, address) = listener.accept().await.expect("accepted");
        let stream = stream.into_std().expect("a socket");
        let endpoint = Endpoint::new(Plain::tcp(stream), address);
        (Reader::new(Arc::new(endpoint)), peer)
    }

    async fn within<T>(future: impl Future<Output = T>) -> T {
        let done = tokio::time::timeout(Duration::from_secs(60), future).await;
        done.expect("in time")
    }

    async fn ready(reader: &Reader) {
        within(poll_fn(|cx| reader.endpoint.poll_input_ready(cx))).await;
    }

    /// What the next read brings: nothing is the end.
    async fn next(reader: &mut Reader) -> io::Result<Vec<u8>> {
        match within(reader.read_next(LARGEST)).await? {
            Read::Bytes(bytes) => Ok(bytes.to_vec()),
            Read::Nothing => panic!("it waits for something"),
            Read::End => Ok(Vec::new()),
        }
    }

    #[tokio::test]
    async fn all_that_is_sent_comes_and_what_follows_is_told() {
        let (mut reader, mut peer) = accepted().await;
        for size in [1, 100, LARGEST, 3 * LARGEST + 1] {
            let sent: Vec<u8> = (0..size).map(|i| (i / 7) as u8).collect();
            let to_send = sent.clone();
            let sending = tokio::spawn(async move {
                peer.write_all(&to_send).await.expect("sent");
                peer
            });
            let mut received = Vec::new();
            while received.len() < size {
                received.extend(next(&mut reader).await.expect("bytes"));
            }
            assert!(received == sent, "{size} bytes came changed");
            peer = sending.await.expect("sent");
            assert!(matches!(reader.read(LARGEST), Ok(Read::Nothing)));
        }
        peer.shutdown().await.expect("ended");
        assert_eq!(next(&mut reader).await.expect("the end"), []);
    }

    #[cfg(any(target_os = "linux", target_os = "android"))]
    #[tokio::test]
    async fn urgent_data_is_nothing_to_be_ready_for() {
        let (mut reader, mut peer) = accepted().await;
        peer.write_all(b"one").await.expect("sent");
        ready(&reader).await;
        assert_eq!(next(&mut reader).await.expect("bytes"), b"one");
        let sent = socket2::SockRef::from(&peer).send_out_of_band(b"!");
        assert_eq!(sent.expect("sent"), 1);
        within(async {
            while !reader.endpoint.plain().has_urgent() {
                tokio::task::yield_now().await;
            }
        })
        .await;
        let endpoint = Arc::clone(&reader.endpoint);
        let waiting = poll_fn(|cx| endpoint.poll_input_ready(cx));
        assert!(futures_util::poll!(waiting).is_pending());
        peer.write_all(b"two").await.expect("sent");
        ready(&reader).await;
        assert_eq!(next(&mut reader).await.expect("bytes"), b"two");
    }

    /// The kernel reports it once, to a peek or to a read.
    #[tokio::test]
    async fn a_reset_that_is_waited_for_is_no_regular_end() {
        let (mut reader, peer) = accepted().await;
        peer.set_zero_linger().expect("linger set");
        drop(peer);
        for _ in 0..2 {
            ready(&reader).await;
        }
        let error = reader.read(1).expect_err("it was reset");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
        assert!(matches!(reader.read(1), Ok(Read::End)));
    }
}
