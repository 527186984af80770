//! A guest's standard output or standard error. Writing waits only if the guest prints to standard error
//! unchanged, and only for whoever reads that.

use super::{Console, Stream};
use crate::sockets::p2::check_permit;
use crate::sockets::{Awaits, Incoming};
use bytes::Bytes;
use std::io;
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll, ready};
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
    incoming: Option<Incoming>,
}

impl Output {
    /// What the guest waits for is counted, if there is somebody who asks.
    pub fn stdout(console: &Arc<Console>, incoming: Option<&Incoming>) -> Self {
        Self::new(console, Stream::Stdout, incoming)
    }

    pub fn stderr(console: &Arc<Console>, incoming: Option<&Incoming>) -> Self {
        Self::new(console, Stream::Stderr, incoming)
    }

    fn new(console: &Arc<Console>, stream: Stream, incoming: Option<&Incoming>) -> Self {
        Self {
            console: Arc::clone(console),
            stream,
            permit: 0,
            incoming: incoming.cloned(),
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
        Box::new(AsyncOutput {
            console: Arc::clone(&self.console),
            stream: self.stream,
            capacity: Mutex::new(None),
            incoming: self.incoming.clone(),
            awaits: None,
        })
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

/// Waits until the guest may print.
type Capacity = Pin<Box<dyn Future<Output = ()> + Send>>;

/// The stream of a guest of WASI 0.3.
struct AsyncOutput {
    console: Arc<Console>,
    stream: Stream,
    /// What is waited for. Locked by nobody: with this, it can be shared, as the trait has it.
    capacity: Mutex<Option<Capacity>>,
    /// Asks what the guest waits for.
    incoming: Option<Incoming>,
    awaits: Option<Awaits>,
}

impl AsyncOutput {
    fn poll_capacity(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        let capacity = self.capacity.get_mut();
        let capacity = capacity.unwrap_or_else(PoisonError::into_inner);
        if capacity.is_none() && self.console.has_capacity() {
            return Poll::Ready(());
        }
        let wait = || {
            let console = Arc::clone(&self.console);
            Box::pin(async move { console.capacity().await }) as Capacity
        };
        let polled = capacity.get_or_insert_with(wait).as_mut().poll(cx);
        if polled.is_ready() {
            *capacity = None;
        }
        polled
    }
}

impl AsyncWrite for AsyncOutput {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        let polled = self.poll_capacity(cx);
        self.awaits = match &self.incoming {
            Some(incoming) if polled.is_pending() => Some(incoming.waits_for_host()),
            _ => None,
        };
        ready!(polled);
        let bytes = &bytes[..bytes.len().min(AT_A_TIME)];
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
