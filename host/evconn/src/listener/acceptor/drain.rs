//! Draining: the connections that have arrived so far are accepted, and then the listener ends.
//!
//! How a socket drains is the socket's business. This module decides what is asked of it, and when.

use super::{Acceptor, StoreState};
use crate::sockets::TcpSocket;
use std::any::Any;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::Store;

/// How long to wait for handshakes that were in progress when the drain began. Linux repeats its part of
/// a handshake after a second without an answer.
const HANDSHAKES: Duration = Duration::from_secs(2);

/// How often to check for connections: nothing signals their arrival.
pub(super) const POLL_PERIOD: Duration = Duration::from_millis(10);

/// A listener that accepts the connections in its queue, and then ends.
pub(super) struct Drain {
    began: Instant,
    all_have_come: bool,
    /// Whether the accept queue is left to other processes.
    pub leaves_queue: bool,
}

impl Drain {
    /// Begins to drain: from now on, no new handshakes are completed, unless other processes accept from
    /// the socket: because it is inherited, or because the caller says so (`leaves_queue`).
    pub fn begin(acceptor: &mut Acceptor, leaves_queue: bool) -> Self {
        acceptor.shared |= leaves_queue;
        acceptor.end_listening();
        Self {
            began: Instant::now(),
            all_have_come: false,
            leaves_queue: acceptor.shared,
        }
    }

    /// Returns whether every connection that will ever arrive is in the kernel's queue, so that an empty
    /// queue is the end. Call this before the poll that finds the queue empty.
    ///
    /// This is not immediately the case: another processor may still be processing a packet that arrived
    /// before the drain began.
    pub fn all_have_come(&mut self, acceptor: &mut Acceptor) -> bool {
        if !self.all_have_come {
            let passed = self.began.elapsed();
            self.all_have_come =
                passed >= HANDSHAKES || passed >= POLL_PERIOD && !acceptor.expects_more();
        }
        self.all_have_come
    }
}

impl Acceptor {
    fn end_listening(&mut self) {
        // Nobody can find the socket from now on.
        self.file = None;
        let shared = self.shared;
        tcp_sockets(&mut self.store).for_each(|socket| socket.end_listening(shared));
    }

    /// Keeps connections from waking this process until it waits for them again.
    #[cfg(unix)]
    pub(super) fn deregister(&mut self) {
        tcp_sockets(&mut self.store).for_each(TcpSocket::deregister);
    }

    /// Leaves connections in the kernel's queue while waiting for them, where other processes can accept
    /// them.
    #[cfg(unix)]
    pub(super) fn accept_on_demand(&mut self) {
        tcp_sockets(&mut self.store).for_each(TcpSocket::accept_on_demand);
    }

    fn expects_more(&mut self) -> bool {
        tcp_sockets(&mut self.store).any(|socket| socket.expects_more())
    }

    /// Returns whether the last poll left nothing in the kernel's queues. Each socket reports this once.
    pub(super) fn found_nothing(&mut self) -> bool {
        // Every socket is asked, so that none of them reports an earlier poll later.
        let found = tcp_sockets(&mut self.store).filter_map(TcpSocket::found_nothing);
        found.fold(true, |all, nothing| all & nothing)
    }
}

fn tcp_sockets(store: &mut Store<StoreState>) -> impl Iterator<Item = &TcpSocket> {
    let entries = store.data_mut().table.iter_mut();
    entries.filter_map(|entry| {
        let entry: &dyn Any = entry;
        entry.downcast_ref()
    })
}
