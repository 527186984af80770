//! What the peer is sent.

use super::service::Finish;
use futures_io::AsyncWrite;
use std::fmt;
use std::io;
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wit_bindgen_async::StreamWriter;

/// How much is written at a time.
const AT_A_TIME: usize = 64 << 10;

/// The sending half of a [`Connection`](super::Connection).
///
/// A write takes up to 64 KiB and returns; the next one waits until these were taken by the host.
///
/// Closing it ends what is sent, after all that was written: the peer reads the end (FIN), while what it sends can still
/// be received. If it is dropped without that, how the connection ends is decided when the service's function returns.
pub struct Writer {
    state: State,
    /// A buffer to be used again.
    buffer: Vec<u8>,
    /// Told that what was sent is complete, for a service's connection.
    finish: Option<Finish>,
}

enum State {
    Idle(StreamWriter<u8>),
    Writing(Pin<Box<dyn Future<Output = Written>>>),
    /// Nobody takes anything any more.
    Broken,
    Closed,
}

/// What a write gives back: what is left if nobody takes more.
type Written = (StreamWriter<u8>, Vec<u8>);

impl Writer {
    pub(super) fn new(stream: StreamWriter<u8>) -> Self {
        Self {
            state: State::Idle(stream),
            buffer: Vec::new(),
            finish: None,
        }
    }

    pub(super) fn with_finish(mut self, finish: Finish) -> Self {
        self.finish = Some(finish);
        self
    }

    /// Waits until what was written was taken.
    fn poll_taken(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        if let State::Writing(writing) = &mut self.state {
            let (stream, rest) = ready!(writing.as_mut().poll(cx));
            self.state = match rest.is_empty() {
                true => State::Idle(stream),
                false => State::Broken,
            };
            self.buffer = rest;
        }
        match self.state {
            State::Broken => Poll::Ready(Err(io::ErrorKind::BrokenPipe.into())),
            _ => Poll::Ready(Ok(())),
        }
    }
}

async fn write(mut stream: StreamWriter<u8>, buffer: Vec<u8>) -> Written {
    let rest = stream.write_all(buffer).await;
    (stream, rest)
}

impl AsyncWrite for Writer {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        ready!(self.poll_taken(cx))?;
        let bytes = &bytes[..bytes.len().min(AT_A_TIME)];
        let State::Idle(stream) = mem::replace(&mut self.state, State::Closed) else {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        };
        if bytes.is_empty() {
            self.state = State::Idle(stream);
            return Poll::Ready(Ok(0));
        }
        let mut buffer = mem::take(&mut self.buffer);
        buffer.clear();
        buffer.extend_from_slice(bytes);
        self.state = State::Writing(Box::pin(write(stream, buffer)));
        // It begins now: whoever is woken by it is this task. An error is that of the next call.
        let _ = self.poll_taken(cx);
        Poll::Ready(Ok(bytes.len()))
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        self.poll_taken(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.poll_taken(cx))?;
        self.state = State::Closed;
        if let Some(finish) = self.finish.take() {
            super::spawn(async move {
                finish.end(Ok(())).await;
            });
        }
        Poll::Ready(Ok(()))
    }
}

impl Drop for Writer {
    /// Lets the host take what was written.
    fn drop(&mut self) {
        if let State::Writing(writing) = mem::replace(&mut self.state, State::Closed) {
            super::spawn(async {
                writing.await;
            });
        }
    }
}

impl fmt::Debug for Writer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Writer").finish_non_exhaustive()
    }
}
