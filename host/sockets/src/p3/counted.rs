//! The host's end of a stream of bytes. It counts as something that the guest waits for while the guest waits for it to
//! go on, if the guest's listening sockets are virtual.

use crate::listen::{Awaits, Incoming};
use crate::view::TcpView;
use std::any::{Any, TypeId};
use std::pin::Pin;
use std::task::{Context, Poll};
use wasmtime::StoreContextMut;
use wasmtime::component::{Destination, Source, StreamConsumer, StreamProducer, StreamResult};

/// A producer or consumer that counts while it is pending.
pub struct Counted<E> {
    end: E,
    /// None: nobody asks.
    incoming: Option<Incoming>,
    awaits: Option<Awaits>,
}

impl<E> Counted<E> {
    pub fn new<T: TcpView>(end: E, data: &mut T) -> Self {
        Self {
            end,
            incoming: data.tcp().incoming.cloned(),
            awaits: None,
        }
    }

    fn note<R>(&mut self, polled: Poll<R>) -> Poll<R> {
        match polled.is_pending() {
            true if self.awaits.is_none() => {
                self.awaits = self.incoming.as_ref().map(Incoming::waits_for_host);
            }
            true => {}
            false => self.awaits = None,
        }
        polled
    }
}

impl<D, E: StreamProducer<D> + Unpin> StreamProducer<D> for Counted<E> {
    type Item = E::Item;
    type Buffer = E::Buffer;

    fn poll_produce<'a>(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'a, D>,
        destination: Destination<'a, Self::Item, Self::Buffer>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let end = Pin::new(&mut self.end);
        let polled = end.poll_produce(cx, store, destination, finish);
        self.note(polled)
    }

    /// Returns what its end returns: to whom that goes, nothing is counted.
    fn try_into(me: Pin<Box<Self>>, wanted: TypeId) -> Result<Box<dyn Any>, Pin<Box<Self>>> {
        let Self {
            end,
            incoming,
            awaits,
        } = *Pin::into_inner(me);
        E::try_into(Box::pin(end), wanted).map_err(|end| {
            Box::pin(Self {
                end: *Pin::into_inner(end),
                incoming,
                awaits,
            })
        })
    }
}

impl<D, E: StreamConsumer<D> + Unpin> StreamConsumer<D> for Counted<E> {
    type Item = E::Item;

    fn poll_consume(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        store: StoreContextMut<'_, D>,
        source: Source<'_, Self::Item>,
        finish: bool,
    ) -> Poll<wasmtime::Result<StreamResult>> {
        let end = Pin::new(&mut self.end);
        let polled = end.poll_consume(cx, store, source, finish);
        self.note(polled)
    }
}
