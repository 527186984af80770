//! The end of accepting: what has come so far is taken, and then there is an end.
//!
//! Where it ends: how the sockets go about it is theirs. Here is what they are asked, and when.

use super::{Acceptor, StoreState};
use crate::sockets::TcpSocket;
use std::any::Any;
use std::time::Duration;
use tokio::time::Instant;
use wasmtime::Store;

/// How long to wait for handshakes that were under way when the end began. Linux repeats its part of
/// one after a second, if no answer has come by then.
const HANDSHAKES: Duration = Duration::from_secs(2);

/// How often to look whether somebody has come: nobody says so.
pub(super) const LOOK: Duration = Duration::from_millis(10);

/// A listener that takes what waits, and then ends.
pub(super) struct Drain {
    began: Instant,
    all_have_come: bool,
}

impl Drain {
    /// Let nobody else in.
    pub fn begin(acceptor: &mut Acceptor) -> Self {
        acceptor.end_listening();
        Self {
            began: Instant::now(),
            all_have_come: false,
        }
    }

    /// Whether all are in the kernel's queue who will ever be: so that when it is empty, it is the
    /// end. To be asked before the look that finds it empty.
    ///
    /// It is not so at once: another processor may be about to deal with a packet that came before the
    /// end began.
    pub fn all_have_come(&mut self, acceptor: &mut Acceptor) -> bool {
        if !self.all_have_come {
            let passed = self.began.elapsed();
            self.all_have_come = passed >= HANDSHAKES || passed >= LOOK && !acceptor.expects_more();
        }
        self.all_have_come
    }
}

impl Acceptor {
    fn end_listening(&mut self) {
        // Nobody can find the socket any more.
        self.file = None;
        let shared = self.shared;
        tcp_sockets(&mut self.store).for_each(|socket| socket.end_listening(shared));
    }

    fn expects_more(&mut self) -> bool {
        tcp_sockets(&mut self.store).any(|socket| socket.expects_more())
    }

    /// Whether the last look has left nothing in the kernel's queues. It is said once.
    pub(super) fn found_nothing(&mut self) -> bool {
        // Every one of them is asked, lest one remembers an earlier look.
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
