//! Connecting, without waiting.

use crate::base::closing::{Remains, Streams};
use crate::base::source::{Interest, Source};
use crate::base::{Core, EventBase};
use crate::slab::Key;
use crate::{ErrorCode, address, error};
use std::cell::{Cell, RefCell};
use std::io;
use std::net::SocketAddr;
use std::rc::{Rc, Weak};
use wasi::sockets::instance_network::instance_network;
use wasi::sockets::tcp::TcpSocket;
use wasi::sockets::tcp_create_socket::create_tcp_socket;

type Done = Box<dyn FnOnce(&EventBase, io::Result<Streams>)>;

/// A connection that is being made. The base keeps it until that is done.
pub struct Attempt {
    /// None once it is done, or given up.
    pending: RefCell<Option<(TcpSocket, Done)>>,
    wait: Cell<Option<Key>>,
    kept: Cell<Option<Key>>,
}

impl Attempt {
    pub fn start(base: &EventBase, peer: SocketAddr, done: Done) -> io::Result<Rc<Self>> {
        let socket = create_tcp_socket(address::family(&peer)).map_err(error::of_socket)?;
        socket
            .start_connect(&instance_network(), address::to_wasi(peer))
            .map_err(error::of_socket)?;
        let pollable = socket.subscribe();
        let attempt = Rc::new(Self {
            pending: RefCell::new(Some((socket, done))),
            wait: Cell::new(None),
            kept: Cell::new(None),
        });
        let weak: Weak<Self> = Rc::downgrade(&attempt);
        attempt
            .wait
            .set(Some(base.0.wait(pollable, weak, Interest::Input)));
        attempt.kept.set(Some(base.0.keep(attempt.clone())));
        Ok(attempt)
    }

    /// Give it up. Nobody is told.
    pub fn cancel(&self, core: &Core) {
        self.end(core);
    }

    fn end(&self, core: &Core) -> Option<(TcpSocket, Done)> {
        if let Some(wait) = self.wait.take() {
            core.unwait(wait);
        }
        if let Some(kept) = self.kept.take() {
            core.release(kept);
        }
        self.pending.take()
    }
}

impl Source for Attempt {
    fn ready(self: Rc<Self>, base: &EventBase, _: Interest) {
        let finished = match &*self.pending.borrow() {
            None => return,
            Some((socket, _)) => socket.finish_connect(),
        };
        if matches!(finished, Err(ErrorCode::WouldBlock)) {
            return;
        }
        let Some((socket, done)) = self.end(&base.0) else {
            return;
        };
        let streams = finished.map_err(error::of_socket);
        done(
            base,
            streams.map(|(input, output)| Streams {
                input,
                output,
                socket,
                permit: None,
            }),
        );
    }

    fn settle(self: Rc<Self>, _: &EventBase) {}

    fn abandon(self: Rc<Self>, core: &Core) -> Option<Remains> {
        if let Some(wait) = self.wait.take() {
            core.unwait(wait);
        }
        let pending = self.pending.take();
        drop(pending);
        None
    }
}
