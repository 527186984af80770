//! Sending: a write goes to the kernel at once. What the kernel does not take is kept, and sent in the
//! background.

use super::budget;
use super::buffers::Received;
use super::endpoint::Endpoint;
use super::sending::rest_of;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::task::{Context, Poll, ready};

impl Endpoint {
    /// Writes all of it. Returns whether the kernel has it; if not, the rest is sent in the background.
    ///
    /// # Errors
    /// `BrokenPipe` if nothing more may be written; what failed in the background, once; or what the operating
    /// system reports. If the last write is not sent yet, nothing is written.
    pub(crate) fn write(&self, bytes: &[u8]) -> io::Result<bool> {
        self.write_or_keep(bytes, |sent| Bytes::copy_from_slice(&bytes[sent..]))
    }

    /// Does the same with what was received elsewhere.
    pub(crate) fn write_received(&self, bytes: &Received) -> io::Result<bool> {
        self.write_or_keep(bytes, |sent| rest_of(bytes, sent))
    }

    fn write_or_keep(&self, bytes: &[u8], rest: impl FnOnce(usize) -> Bytes) -> io::Result<bool> {
        budget::charge(bytes.len());
        let transport = &self.link.transport;
        let mut sending = self.link.sending();
        sending.send(transport, bytes, rest)?;
        let is_idle = sending.is_idle();
        drop(sending);
        if !is_idle {
            self.link.send_in_background();
        }
        Ok(is_idle && !transport.is_encrypted())
    }

    /// Fails if nothing more may be written, or if something failed in the background.
    pub(crate) fn check_open(&self) -> io::Result<()> {
        self.link.sending().check_open()
    }

    /// Whether a write can be made now.
    pub(crate) fn takes_write(&self) -> io::Result<bool> {
        let mut sending = self.link.sending();
        sending.check_open()?;
        match sending.push(&self.link.transport) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Returns how much may be written at once, now that a write can be made.
    pub(crate) fn permit(&self) -> usize {
        self.link.sending().permit()
    }

    /// Waits until a write can be made, or reports an error.
    pub(crate) fn poll_output_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let sending = self.link.sending();
        // The next write reports that nothing more may be written. Only one task can wait for what is sent in
        // the background.
        if !sending.is_open() {
            return Poll::Ready(());
        }
        if sending.is_in_background() {
            // Under the lock, under which the task that sends ends, too.
            self.link.writer.register(cx.waker());
            return Poll::Pending;
        }
        drop(sending);
        if let Err(error) = ready!(self.link.transport.poll_flush(cx)) {
            self.link.sending().fail(error);
        }
        Poll::Ready(())
    }

    /// Waits until a write can be made.
    pub(crate) fn poll_permitted(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        loop {
            let mut sending = self.link.sending();
            sending.check_open()?;
            if sending.is_idle() {
                return Poll::Ready(Ok(()));
            }
            drop(sending);
            ready!(self.poll_output_ready(cx));
        }
    }

    /// Waits until the kernel has all that was written.
    pub(crate) async fn flushed(&self) -> io::Result<()> {
        self.link.background_ended().await;
        self.link.sending().check_failed()?;
        poll_fn(|cx| self.poll_flush(cx)).await
    }

    /// Waits until the kernel has all that was [sent](Self::poll_send).
    pub fn poll_flush(&self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.link.transport.poll_flush(cx)
    }

    /// Waits until the kernel takes some of it, and returns how many bytes it has taken. Nothing is kept.
    ///
    /// # Errors
    /// `BrokenPipe` if nothing more may be written, or what the operating system reports. Nothing can be written after
    /// an error.
    pub(crate) fn poll_write(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        // What was written before is to be sent before.
        ready!(self.poll_permitted(cx))?;
        let written = ready!(self.poll_send_from(cx, bytes));
        if written.is_err() {
            self.link.sending().give_up();
        }
        Poll::Ready(written)
    }

    /// Sends what the kernel takes, without keeping a rest.
    pub fn poll_send(&self, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        loop {
            match self.link.transport.try_send(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    ready!(self.link.transport.poll_writable(cx))?;
                }
                result => return Poll::Ready(result),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Plain;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use std::time::Duration;

    /// More than both ends have room for.
    const MUCH: usize = 64 << 20;

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_write_on_top_of_an_unsent_one_is_an_error_and_loses_nothing() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let mut peer = TcpStream::connect(address).expect("connected");
        let timeout = Some(Duration::from_secs(60));
        peer.set_read_timeout(timeout).expect("set");
        let (stream, address) = listener.accept().expect("accepted");
        stream.set_nonblocking(true).expect("set");
        let endpoint = Endpoint::new(Plain::tcp(stream), address);
        let is_sent = endpoint.write(&vec![b'x'; MUCH]).expect("it is open");
        assert!(!is_sent, "so much is not taken at once");
        assert!(!endpoint.takes_write().expect("it is open"));
        endpoint
            .write(b"more")
            .expect_err("the last write is not sent");
        drop(endpoint);
        let read = move || {
            let mut received = Vec::new();
            peer.read_to_end(&mut received).map(|_| received)
        };
        let received = tokio::task::spawn_blocking(read).await.expect("no panic");
        let received = received.expect("a regular end");
        assert!(received.len() == MUCH && received.iter().all(|byte| *byte == b'x'));
    }
}
