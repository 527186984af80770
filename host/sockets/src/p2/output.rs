//! The resource `output-stream` of a socket.

use super::pollables::SocketPollable;
use crate::connection::Endpoint;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// A write goes to the kernel at once; nothing more may be written until the kernel has all of it.
///
/// When its guest drops it, the sending direction [ends](Self::end).
pub struct Output {
    /// None: it was [ended](Self::end).
    endpoint: Option<Arc<Endpoint>>,
    /// What `check_write` last allowed.
    permit: usize,
}

impl Output {
    pub fn new(endpoint: Arc<Endpoint>) -> Self {
        Self {
            endpoint: Some(endpoint),
            permit: 0,
        }
    }

    /// Ends the sending direction, without waiting: its guest has dropped it, or it is taken away from a guest
    /// that has not.
    pub fn end(&mut self) {
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.output_dropped();
        }
    }

    /// The connection that it belongs to.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        self.endpoint.as_ref()
    }

    /// What is ready when it is.
    pub fn pollable(&self) -> SocketPollable {
        match &self.endpoint {
            Some(endpoint) => SocketPollable::Output(Arc::clone(endpoint)),
            None => SocketPollable::Revoked,
        }
    }

    fn open(&self) -> StreamResult<&Arc<Endpoint>> {
        self.endpoint.as_ref().ok_or(StreamError::Closed)
    }

    /// Waits until something may be written, and returns how much.
    pub async fn permitted(&mut self) -> StreamResult<usize> {
        // However fast the peer is, other tasks get their time slice.
        tokio::task::coop::consume_budget().await;
        let endpoint = self.open()?;
        let permitted = poll_fn(|cx| endpoint.poll_permitted(cx)).await;
        permitted.map_err(failure)?;
        self.permit = endpoint.permit();
        Ok(self.permit)
    }

    /// Uses up the permit for so many bytes, which the caller writes.
    pub fn take_permit(&mut self, count: usize) -> StreamResult<Arc<Endpoint>> {
        check_permit(count, self.permit)?;
        self.lend()
    }

    /// Uses up the permit for a splice, whether it transfers something or not.
    pub fn lend(&mut self) -> StreamResult<Arc<Endpoint>> {
        self.permit = 0;
        Ok(Arc::clone(self.open()?))
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let endpoint = self.take_permit(bytes.len())?;
        endpoint.write(&bytes).map(drop).map_err(failure)
    }

    /// What was written is on its way already.
    fn flush(&mut self) -> StreamResult<()> {
        self.open()?.check_open().map_err(failure)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        let endpoint = self.open()?;
        self.permit = match endpoint.takes_write().map_err(failure)? {
            true => endpoint.permit(),
            false => 0,
        };
        Ok(self.permit)
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        self.permitted().await
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while !bytes.is_empty() {
            let permit = self.permitted().await?;
            let part = bytes.split_to(permit.min(bytes.len()));
            self.write(part)?;
        }
        self.open()?.flushed().await.map_err(failure)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            poll_fn(|cx| endpoint.poll_output_ready(cx)).await;
        }
        // However often it is asked, other tasks get their time slice.
        tokio::task::coop::consume_budget().await;
    }
}

/// Traps a write of more bytes than `check-write` allowed.
///
/// # Errors
/// A trap, with what would be right.
pub fn check_permit(count: usize, permit: usize) -> StreamResult<()> {
    match count > permit {
        true => Err(StreamError::trap(&format!(
            "{count} bytes were written, but check-write allowed {permit}: call check-write before each \
             write, and write no more than it allows (blocking-write-and-flush does both, for up to 4096 bytes)"
        ))),
        false => Ok(()),
    }
}

/// A peer that is gone is the end of the stream. For other errors the guest can ask.
pub fn failure(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}
#[cfg(test)]
mod tests {
    use super::*;
    use crate::policy::{Account, AccountLimits, Counted};
    use crate::transport::Plain;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use tokio::runtime::{Builder, Runtime};

    /// An output stream with bytes in it that the kernel does not take, and its peer.
    fn full(runtime: &Runtime) -> (Output, TcpStream) {
        full_of(runtime, None)
    }

    fn full_of(runtime: &Runtime, account: Option<&Account>) -> (Output, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = TcpStream::connect(address).expect("connected");
        let deadline = std::time::Duration::from_secs(60);
        peer.set_read_timeout(Some(deadline)).expect("set");
        let (stream, address) = listener.accept().expect("accepted");
        stream.set_nonblocking(true).expect("set");
        let output = runtime.block_on(async {
            let endpoint = Endpoint::new(Plain::tcp(stream), address).charged(account, None);
            let mut output = Output::new(Arc::new(endpoint));
            output.ready().await;
            while let permit @ 1.. = output.check_write().expect("it is open") {
                let bytes = Bytes::from(vec![b'x'; permit]);
                output.write(bytes).expect("it is permitted");
            }
            output
        });
        (output, peer)
    }

    #[test]
    fn what_is_not_sent_is_charged_until_it_is_and_none_waits_for_another() {
        const MOST: usize = 1 << 20;
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let limits = AccountLimits {
            unsent: MOST,
            ..AccountLimits::default()
        };
        let account = Account::new(limits, None);
        let (outputs, peers): (Vec<_>, Vec<_>) =
            (0..8).map(|_| full_of(&runtime, Some(&account))).unzip();
        let used = account.used(Counted::Unsent);
        assert!((256 << 10..=MOST + 8 * 4096).contains(&used), "{used}");
        assert_eq!(account.used(Counted::Descriptors), 8);
        let _in_runtime = runtime.enter();
        drop(outputs);
        for mut peer in peers {
            peer.read_to_end(&mut Vec::new()).expect("a regular end");
        }
        let deadline = std::time::Instant::now() + std::time::Duration::from_secs(60);
        // The task that has sent the last bytes drops the connection.
        while account.used(Counted::Descriptors) > 0 {
            assert!(std::time::Instant::now() < deadline, "{account:?}");
            std::thread::yield_now();
        }
        assert_eq!(account.used(Counted::Unsent), 0);
    }

    #[test]
    fn dropped_after_its_runtime_it_resets_the_connection() {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (output, mut peer) = full(&runtime);
        drop(runtime);
        drop(output);
        let error = peer.read_to_end(&mut Vec::new()).expect_err("it is cut");
        assert_eq!(error.kind(), io::ErrorKind::ConnectionReset);
    }

    #[test]
    fn dropped_within_its_runtime_it_sends_the_rest() {
        let runtime = Builder::new_multi_thread().enable_all().build();
        let runtime = runtime.expect("a runtime");
        let (output, mut peer) = full(&runtime);
        let _in_runtime = runtime.enter();
        drop(output);
        let mut received = Vec::new();
        peer.read_to_end(&mut received).expect("a regular end");
        assert_eq!(
            received.len() % (512 << 10),
            0,
            "each write was of that size"
        );
    }
}
