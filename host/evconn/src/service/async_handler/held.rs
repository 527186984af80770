//! A connection as the streams of a guest have it, until it is taken away: a guest that serves others, too, may keep its
//! streams for longer than the connection lasts.

use crate::sockets::Endpoint;
use futures_util::task::AtomicWaker;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::Context;

/// A connection that can be taken away from those who have it.
pub(super) struct Held {
    endpoint: Mutex<Option<Arc<Endpoint>>>,
    /// Who waits for something to receive, and who waits until something can be sent.
    reader: AtomicWaker,
    writer: AtomicWaker,
}

/// One of the directions.
#[derive(Clone, Copy)]
pub(super) enum Direction {
    Received,
    Sent,
}

impl Held {
    pub fn new(endpoint: &Arc<Endpoint>) -> Arc<Self> {
        Arc::new(Self {
            endpoint: Mutex::new(Some(Arc::clone(endpoint))),
            reader: AtomicWaker::new(),
            writer: AtomicWaker::new(),
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

/// Takes a connection away when this is dropped.
pub(super) struct TakenAway(pub Arc<Held>);

impl Drop for TakenAway {
    fn drop(&mut self) {
        self.0.take_away();
    }
}
