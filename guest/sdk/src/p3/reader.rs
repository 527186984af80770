//! What the peer sends.

use super::ErrorCode;
use super::service::Reply;
use futures_io::{AsyncBufRead, AsyncRead};
use std::fmt;
use std::io::{self, Read};
use std::mem;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use wit_bindgen_async::{FutureReader, StreamReader, StreamResult};

/// The least and the most that is read at a time.
const LEAST: usize = 4 << 10;
const MOST: usize = 64 << 10;

/// The receiving half of a [`Connection`](super::Connection). It reads ahead: up to twice of what came
/// last, from 4 KiB to 64 KiB, so that an idle connection has a small buffer, and a busy one a large one.
///
/// When the peer has ended its side, that is the end; when the connection is lost, an error. Dropping it means that no
/// more is read, which the peer does not notice.
pub struct Reader {
    state: State,
    /// How the stream ends.
    ended: Option<FutureReader<Result<(), ErrorCode>>>,
    /// The same, if it is asked while the stream goes on: of what a handler returns, an error ends it at any time.
    failing: Option<Ending>,
    buffer: Vec<u8>,
    /// How much of the buffer was taken out.
    taken: usize,
}

enum State {
    /// The handler that returns the stream has not returned yet.
    Opening(Opening),
    Idle(StreamReader<u8>),
    Reading(Pin<Box<dyn Future<Output = Read_>>>),
    /// There is no more, and it is being asked why.
    Ending(Ending),
    Ended,
}

/// How a stream ends, once that is known.
type Ending = Pin<Box<dyn Future<Output = Result<(), ErrorCode>>>>;

/// A call of a handler.
pub(super) type Opening = Pin<Box<dyn Future<Output = Result<Reply, ErrorCode>>>>;

/// What a read gives back.
type Read_ = (StreamReader<u8>, StreamResult, Vec<u8>);

impl Reader {
    pub(super) fn new(
        stream: StreamReader<u8>,
        ended: FutureReader<Result<(), ErrorCode>>,
    ) -> Self {
        Self::with(State::Idle(stream), Some(ended))
    }

    /// Returns a reader of what a handler returns.
    pub(super) fn of_call(call: Opening) -> Self {
        Self::with(State::Opening(call), None)
    }

    fn with(state: State, ended: Option<FutureReader<Result<(), ErrorCode>>>) -> Self {
        Self {
            state,
            ended,
            failing: None,
            buffer: Vec::new(),
            taken: 0,
        }
    }

    /// Takes out what knows how the stream ends, unless the end was read: then it ends without an error.
    pub(super) fn take_ended(&mut self) -> Option<FutureReader<Result<(), ErrorCode>>> {
        self.ended.take()
    }

    fn has_bytes(&self) -> bool {
        self.taken < self.buffer.len()
    }

    /// Takes the next step. `Ready` means that there are bytes, or that there is nothing more.
    fn poll_step(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        while !self.has_bytes() {
            match mem::replace(&mut self.state, State::Ended) {
                State::Opening(mut call) => match call.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Opening(call);
                        return Poll::Pending;
                    }
                    Poll::Ready(reply) => {
                        let (stream, ended) = reply?;
                        self.failing = Some(Box::pin(ended.into_future()));
                        self.state = State::Idle(stream);
                    }
                },
                State::Idle(stream) => {
                    let buffer = mem::take(&mut self.buffer);
                    self.state = State::Reading(Box::pin(read(stream, buffer)));
                }
                State::Reading(mut reading) => match reading.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Reading(reading);
                        return self.poll_failing(cx);
                    }
                    Poll::Ready((stream, result, buffer)) => {
                        self.note(stream, result);
                        (self.buffer, self.taken) = (buffer, 0);
                    }
                },
                State::Ending(mut ending) => match ending.as_mut().poll(cx) {
                    Poll::Pending => {
                        self.state = State::Ending(ending);
                        return Poll::Pending;
                    }
                    Poll::Ready(how) => return Poll::Ready(how.map_err(io::Error::from)),
                },
                State::Ended => break,
            }
        }
        Poll::Ready(Ok(()))
    }

    /// Waits for an error of what ends while the stream goes on.
    fn poll_failing(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let Some(failing) = &mut self.failing else {
            return Poll::Pending;
        };
        let how = ready!(failing.as_mut().poll(cx));
        self.failing = None;
        match how {
            Ok(()) => Poll::Pending,
            Err(error) => {
                self.state = State::Ended;
                Poll::Ready(Err(error.into()))
            }
        }
    }

    fn note(&mut self, stream: StreamReader<u8>, result: StreamResult) {
        self.state = match (result, self.ended.take()) {
            (StreamResult::Dropped, Some(ended)) => State::Ending(Box::pin(ended.into_future())),
            (StreamResult::Dropped, None) => {
                self.failing.take().map_or(State::Ended, State::Ending)
            }
            (_, ended) => {
                self.ended = ended;
                State::Idle(stream)
            }
        };
    }
}

async fn read(mut stream: StreamReader<u8>, mut buffer: Vec<u8>) -> Read_ {
    let room = (2 * buffer.len()).clamp(LEAST, MOST);
    buffer.clear();
    buffer.shrink_to(2 * room);
    buffer.reserve(room);
    let (result, buffer) = stream.read(buffer).await;
    (stream, result, buffer)
}

impl AsyncBufRead for Reader {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        let this = self.get_mut();
        ready!(this.poll_step(cx))?;
        Poll::Ready(Ok(&this.buffer[this.taken..]))
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        self.taken = (self.taken + count).min(self.buffer.len());
    }
}

impl AsyncRead for Reader {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        let mut bytes = ready!(self.as_mut().poll_fill_buf(cx))?;
        let count = bytes.read(into)?;
        self.consume(count);
        Poll::Ready(Ok(count))
    }
}

impl fmt::Debug for Reader {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Reader").finish_non_exhaustive()
    }
}
