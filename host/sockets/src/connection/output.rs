//! The stream of what a peer is sent.

use crate::Endpoint;
use crate::p2::pollables::SocketPollable;
use bytes::Bytes;
use std::future::poll_fn;
use std::io;
use std::sync::Arc;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamError, StreamResult};

/// How much may be written at a time. No more than that is kept for a peer that does not read.
pub(crate) const PERMIT: usize = 512 << 10;

/// Tries the socket first and keeps what it does not take: nothing more may be written until that is
/// sent. Dropping it closes the sending direction, and never waits: see [`closing`](crate::connection::closing).
pub struct Output {
    /// None: it was [revoked](Self::revoke).
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

    /// Take it away from whoever has not dropped it: to them, it is closed.
    pub(crate) fn revoke(&mut self) {
        if let Some(endpoint) = self.endpoint.take() {
            endpoint.output_dropped();
        }
    }

    /// Whether it is this connection's.
    pub(crate) fn is_of(&self, connection: &Arc<Endpoint>) -> bool {
        let endpoint = self.endpoint.as_ref();
        endpoint.is_some_and(|endpoint| Arc::ptr_eq(endpoint, connection))
    }

    /// What says when it is ready.
    pub(crate) fn pollable(&self) -> SocketPollable {
        match &self.endpoint {
            Some(endpoint) => SocketPollable::Output(Arc::clone(endpoint)),
            None => SocketPollable::Revoked,
        }
    }

    fn endpoint(&self) -> StreamResult<&Arc<Endpoint>> {
        self.endpoint.as_ref().ok_or(StreamError::Closed)
    }

    /// How much may be written now.
    pub(crate) fn permit(&mut self) -> StreamResult<usize> {
        let mut sending = self.endpoint()?.sending();
        sending.check_open().map_err(failure)?;
        let is_idle = sending.is_idle();
        drop(sending);
        self.permit = match is_idle {
            true => PERMIT,
            false => match self.endpoint()?.push() {
                Ok(()) => PERMIT,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
                Err(error) => return Err(failure(error)),
            },
        };
        Ok(self.permit)
    }

    /// Wait until something may be written: so much.
    pub(crate) async fn permitted(&mut self) -> StreamResult<usize> {
        // However fast the peer is, others get their turn.
        tokio::task::coop::consume_budget().await;
        let endpoint = self.endpoint()?;
        let permitted = poll_fn(|cx| endpoint.poll_permitted(cx)).await;
        permitted.map_err(failure)?;
        self.permit = PERMIT;
        Ok(PERMIT)
    }

    /// Use up the permit for so many bytes. They are to be sent at once.
    pub(crate) fn take_permit(&mut self, count: usize) -> StreamResult<Arc<Endpoint>> {
        check_permit(count, self.permit)?;
        self.permit = 0;
        Ok(Arc::clone(self.endpoint()?))
    }

    /// What an input is to be spliced to. That takes the permit, whatever comes of it.
    pub(crate) fn lend(&mut self) -> StreamResult<Arc<Endpoint>> {
        self.permit = 0;
        Ok(Arc::clone(self.endpoint()?))
    }
}

#[async_trait]
impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        let endpoint = self.take_permit(bytes.len())?;
        endpoint.send_soon(&bytes).map_err(failure)
    }

    /// What was written is on its way: the kernel is given it at the end of the round at the latest, and
    /// takes it as soon as it can.
    fn flush(&mut self) -> StreamResult<()> {
        self.endpoint()?.sending().check_open().map_err(failure)
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        self.permit()
    }

    async fn write_ready(&mut self) -> StreamResult<usize> {
        self.permitted().await
    }

    async fn blocking_write_and_flush(&mut self, mut bytes: Bytes) -> StreamResult<()> {
        while !bytes.is_empty() {
            let permit = self.permitted().await?;
            let part = bytes.split_to(permit.min(bytes.len()));
            // What is kept of it is sent right here: no task is needed for that.
            let endpoint = self.take_permit(part.len())?;
            endpoint.send(&part).map_err(failure)?;
        }
        self.endpoint()?.flushed().await.map_err(failure)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        if let Some(endpoint) = &self.endpoint {
            poll_fn(|cx| endpoint.poll_output_ready(cx)).await;
        }
        // However often it is asked, others get their turn. What is not ready costs nothing of that.
        tokio::task::coop::consume_budget().await;
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        self.revoke();
    }
}

/// Whether so many bytes may be written.
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
pub(crate) fn failure(error: io::Error) -> StreamError {
    match error.kind() {
        io::ErrorKind::BrokenPipe => StreamError::Closed,
        _ => StreamError::LastOperationFailed(error.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Plain;
    use std::io::Read;
    use std::net::{TcpListener, TcpStream};
    use tokio::runtime::{Builder, Runtime};

    /// An output stream with bytes in it that the kernel does not take, and its peer.
    fn full(runtime: &Runtime) -> (Output, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = TcpStream::connect(address).expect("connected");
        let deadline = std::time::Duration::from_secs(60);
        peer.set_read_timeout(Some(deadline)).expect("set");
        let (stream, address) = listener.accept().expect("accepted");
        stream.set_nonblocking(true).expect("set");
        let output = runtime.block_on(async {
            let endpoint = Endpoint::new(Plain::tcp(stream), address);
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
        assert_eq!(received.len() % PERMIT, 0, "each write was of that size");
    }
}
