//! Streams that are asked whether they have something, without reading it.

use std::pin::{Pin, pin};
use std::task::{Context, Poll, Waker};
use wit_bindgen_async::{StreamRead, StreamReader, StreamResult};

/// A stream that is not read any more once it has ended: that would be a trap.
pub struct Watched<T: 'static> {
    stream: StreamReader<T>,
    has_ended: bool,
}

/// The outcome of an attempt to read an item.
pub enum Item<T> {
    Read(T),
    /// There is none now.
    Nothing,
    /// There will never be one again.
    Ended,
}

impl<T: 'static> Watched<T> {
    pub fn new(stream: StreamReader<T>) -> Self {
        Self {
            stream,
            has_ended: false,
        }
    }

    /// Returns the stream, unless it has ended: such a one cannot be passed on.
    pub fn into_inner(self) -> Option<StreamReader<T>> {
        (!self.has_ended).then_some(self.stream)
    }

    /// Reads an item, without waiting.
    pub fn take(&mut self) -> Item<T> {
        if self.has_ended {
            return Item::Ended;
        }
        let mut read = pin!(self.stream.read(Vec::with_capacity(1)));
        let mut nobody = Context::from_waker(Waker::noop());
        let (result, mut items) = match read.as_mut().poll(&mut nobody) {
            Poll::Ready(done) => done,
            Poll::Pending => read.cancel(),
        };
        self.has_ended = result == StreamResult::Dropped;
        match items.pop() {
            Some(item) => Item::Read(item),
            None if self.has_ended => Item::Ended,
            None => Item::Nothing,
        }
    }

    /// Returns whether a read would find something, or the end, without waiting.
    pub fn is_ready(&mut self) -> bool {
        let mut nobody = Context::from_waker(Waker::noop());
        pin!(self.ready()).poll(&mut nobody).is_ready()
    }

    /// Waits until a read finds something, or the end. Nothing is read.
    pub fn ready(&mut self) -> Ready<'_, T> {
        let Self { stream, has_ended } = self;
        Ready {
            // A read of no items.
            read: (!*has_ended).then(|| Box::pin(stream.read(Vec::new()))),
            has_ended,
        }
    }
}

/// Waits for a stream. What the read says when it is cancelled is not lost.
pub struct Ready<'a, T: 'static> {
    /// None: it is over.
    read: Option<Pin<Box<StreamRead<'a, T>>>>,
    has_ended: &'a mut bool,
}

impl<T: 'static> Ready<'_, T> {
    fn done(&mut self, result: StreamResult) {
        self.read = None;
        *self.has_ended |= result == StreamResult::Dropped;
    }
}

impl<T: 'static> Future for Ready<'_, T> {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(read) = &mut self.read {
            let (result, _) = std::task::ready!(read.as_mut().poll(cx));
            self.done(result);
        }
        Poll::Ready(())
    }
}

impl<T: 'static> Drop for Ready<'_, T> {
    fn drop(&mut self) {
        if let Some(read) = &mut self.read {
            let (result, _) = read.as_mut().cancel();
            self.done(result);
        }
    }
}
