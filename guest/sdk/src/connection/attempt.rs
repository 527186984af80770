//! Connecting, without waiting.

use crate::base::{Core, EventBase, Interest, Source};
use crate::remains::{Remains, Streams};
use crate::slab::Key;
use crate::{ErrorCode, address, error};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;

type OnConnected = Box<dyn FnOnce(&EventBase, io::Result<Streams>)>;

/// A connect in progress. The base owns it until it is done.
pub struct Attempt {
    /// None once it is done or cancelled.
    pending: RefCell<Option<(TcpSocket, OnConnected)>>,
    registered: Cell<Option<Key>>,
    owned: Cell<Option<Key>>,
}

impl Attempt {
    /// Begins to connect. The loop calls `done` with the outcome.
    pub fn start(base: &EventBase, peer: SocketAddr, done: OnConnected) -> io::Result<Rc<Self>> {
        let socket = create_tcp_socket(address::family(&peer)).map_err(error::of_socket)?;
        socket
            .start_connect(&instance_network(), address::to_wasi(peer))
            .map_err(error::of_socket)?;
        let pollable = socket.subscribe();
        let attempt = Rc::new(Self {
            pending: RefCell::new(Some((socket, done))),
            registered: Cell::new(None),
            owned: Cell::new(None),
        });
        let source: Weak<Self> = Rc::downgrade(&attempt);
        let key = base.0.register(pollable, source, Interest::Input);
        attempt.registered.set(Some(key));
        attempt.owned.set(Some(base.0.own(attempt.clone())));
        Ok(attempt)
    }

    /// Gives up. `done` is not called.
    pub fn cancel(&self, core: &Core) {
        self.end(core);
    }

    fn end(&self, core: &Core) -> Option<(TcpSocket, OnConnected)> {
        self.deregister(core);
        if let Some(owned) = self.owned.take() {
            core.release(owned);
        }
        self.pending.take()
    }

    fn deregister(&self, core: &Core) {
        if let Some(key) = self.registered.take() {
            core.deregister(key);
        }
    }
}

impl Source for Attempt {
    fn ready(self: Rc<Self>, core: &Rc<Core>, _: Interest) {
        let finished = match &*self.pending.borrow() {
            None => return,
            Some((socket, _)) => socket.finish_connect(),
        };
        if matches!(finished, Err(ErrorCode::WouldBlock)) {
            return;
        }
        let Some((socket, done)) = self.end(core) else {
            return;
        };
        let streams = finished.map_err(error::of_socket);
        done(
            &EventBase(Rc::clone(core)),
            streams.map(|(input, output)| Streams {
                input,
                output,
                socket,
                permit: None,
            }),
        );
    }

    /// It is never scheduled: it waits for one thing until it ends.
    fn prepare(self: Rc<Self>, _: &Rc<Core>) {}

    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains> {
        self.deregister(core);
        let pending = self.pending.take();
        drop(pending);
        None
    }
}
