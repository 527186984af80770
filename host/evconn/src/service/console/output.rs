//! A guest's standard output or standard error. Writing waits only if the guest prints to standard error
//! unchanged, and only for whoever reads that.

use super::{Console, Stream};
use crate::sockets::p2::check_permit;
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use tokio::io::AsyncWrite;
use wasmtime_wasi::async_trait;
use wasmtime_wasi::cli::{IsTerminal, StdoutStream};
use wasmtime_wasi::p2::{OutputStream, Pollable, StreamResult};

/// The most bytes that a guest may write at once. Each of them may be a line.
const AT_A_TIME: usize = 4 << 10;

#[derive(Clone, Debug)]
pub(in crate::service) struct Output {
    console: Arc<Console>,
    stream: Stream,
    /// The number of bytes last permitted. It stays permitted whatever others print in between.
    permit: usize,
}

impl Output {
    pub fn stdout(console: &Arc<Console>) -> Self {
        Self::new(console, Stream::Stdout)
    }

    pub fn stderr(console: &Arc<Console>) -> Self {
        Self::new(console, Stream::Stderr)
    }

    fn new(console: &Arc<Console>, stream: Stream) -> Self {
        Self {
            console: Arc::clone(console),
            stream,
            permit: 0,
        }
    }
}

impl IsTerminal for Output {
    fn is_terminal(&self) -> bool {
        false
    }
}

impl StdoutStream for Output {
    fn async_stream(&self) -> Box<dyn AsyncWrite + Send + Sync> {
        Box::new(self.clone())
    }

    fn p2_stream(&self) -> Box<dyn OutputStream> {
        Box::new(self.clone())
    }
}

impl OutputStream for Output {
    fn write(&mut self, bytes: Bytes) -> StreamResult<()> {
        check_permit(bytes.len(), self.permit)?;
        self.permit = 0;
        self.console.write(self.stream, &bytes);
        Ok(())
    }

    fn flush(&mut self) -> StreamResult<()> {
        Ok(())
    }

    fn check_write(&mut self) -> StreamResult<usize> {
        if self.console.has_capacity() {
            self.permit = AT_A_TIME;
        }
        Ok(self.permit)
    }
}

#[async_trait]
impl Pollable for Output {
    async fn ready(&mut self) {
        // Other tasks run even if the guest polls this again and again.
        tokio::task::coop::consume_budget().await;
        if self.permit == 0 {
            self.console.capacity().await;
        }
    }
}

/// Required by the trait for WASI 0.3, which is not linked.
impl AsyncWrite for Output {
    fn poll_write(
        self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        self.console.write(self.stream, bytes);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(()))
    }
}
