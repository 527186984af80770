//! A connection as the streams of a guest have it, until it is taken away: a guest that serves others, too, may keep its
//! streams for longer than the connection lasts.

use crate::sockets::Endpoint;
use crate::sockets::p3::Receiver;
use futures_util::task::AtomicWaker;
use std::any::Any;
use std::future::poll_fn;
use std::io;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use wasmtime_wasi::p3::bindings::sockets::types::ErrorCode;

/// How often the store is polled until it has taken up a write that the guest has begun, and the one that follows.
const TURNS: u32 = 4;

/// A connection that can be taken away from those who have it.
pub(super) struct Held {
    endpoint: Mutex<Option<Arc<Endpoint>>>,
    /// Who waits for something to receive, and who waits until something can be sent.
    reader: AtomicWaker,
    writer: AtomicWaker,
    /// Whether the guest has begun a write of which nothing was sent yet.
    is_writing: AtomicBool,
    /// Who waits until that is not so.
    waiter: AtomicWaker,
    /// Says that the guest has something of it.
    _task: Option<Arc<dyn Any + Send + Sync>>,
}

/// One of the directions.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Received,
    Sent,
}

impl Held {
    pub fn new(endpoint: &Arc<Endpoint>) -> Arc<Self> {
        Self::with(endpoint, None)
    }

    /// Returns one that keeps `task` until the guest has dropped all that it has of it.
    pub fn of_task(endpoint: &Arc<Endpoint>, task: Arc<dyn Any + Send + Sync>) -> Arc<Self> {
        Self::with(endpoint, Some(task))
    }

    fn with(endpoint: &Arc<Endpoint>, task: Option<Arc<dyn Any + Send + Sync>>) -> Arc<Self> {
        Arc::new(Self {
            endpoint: Mutex::new(Some(Arc::clone(endpoint))),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
            is_writing: AtomicBool::new(false),
            waiter: AtomicWaker::new(),
            _task: task,
        })
    }

    /// Returns the connection, unless it was taken away. Whoever waits is woken then.
    pub fn endpoint(&self, direction: Direction, cx: &Context<'_>) -> Option<Arc<Endpoint>> {
        match direction {
            Direction::Received => self.reader.register(cx.waker()),
            Direction::Sent => self.writer.register(cx.waker()),
        }
        self.lock().clone()
    }

    /// Notes whether the guest has begun a write of which nothing was sent yet.
    pub fn set_writing(&self, is_writing: bool) {
        if self.is_writing.swap(is_writing, Ordering::Relaxed) && !is_writing {
            self.waiter.wake();
        }
    }

    /// Waits until `sent` is ready, or the guest has no write under way.
    pub async fn written(&self, mut sent: Pin<&mut (impl Future<Output = ()> + ?Sized)>) {
        let mut turns = 0;
        poll_fn(|cx| {
            self.waiter.register(cx.waker());
            if sent.as_mut().poll(cx).is_ready() {
                return Poll::Ready(());
            }
            if turns < TURNS {
                turns += 1;
                cx.waker().wake_by_ref();
                return Poll::Pending;
            }
            match self.is_writing.load(Ordering::Relaxed) {
                true => Poll::Pending,
                false => Poll::Ready(()),
            }
        })
        .await;
    }

    /// Takes the connection away: to the guest, both directions have ended.
    pub fn take_away(&self) {
        let taken = self.lock().take();
        self.reader.wake();
        self.writer.wake();
        // Not under the lock: this may be the last reference to it.
        drop(taken);
    }

    fn lock(&self) -> MutexGuard<'_, Option<Arc<Endpoint>>> {
        // Nothing in there panics halfway.
        self.endpoint.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What its peer sends. A guest that drops the stream reads no more; the peer does not notice.
impl Receiver for Held {
    fn endpoint(&self, cx: &Context<'_>) -> Option<Arc<Endpoint>> {
        self.endpoint(Direction::Received, cx)
    }

    fn code(&self, error: &io::Error) -> ErrorCode {
        match error.kind() {
            // The end of a TLS session is missing.
            io::ErrorKind::UnexpectedEof => ErrorCode::ConnectionBroken,
            io::ErrorKind::BrokenPipe => ErrorCode::ConnectionReset,
            _ => error.into(),
        }
    }
}

/// Takes a connection away when this is dropped.
pub(super) struct TakenAway(pub Arc<Held>);

impl Drop for TakenAway {
    fn drop(&mut self) {
        self.0.take_away();
    }
}
