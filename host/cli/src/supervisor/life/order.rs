//! What a running server is asked to do by its supervisor.

use super::Life;
use super::succession::{Estate, Loan};
use crate::admin::{List, Query, Reload, Reply, Reset, Service, answer};
use crate::args::NamedSource;
use crate::log::Filter;
use crate::supervisor::start::lend;
use std::io;
use tokio::sync::oneshot;

/// An order to a running server. Whoever gave it may be gone when it is answered.
pub enum Order {
    /// Read the component and the certificate again, and answer when that is done.
    Reload(Reply<Reload>),
    /// Say what there is of listeners and workers.
    Status(Reply<Service>),
    /// List open connections.
    Connections(Query, Reply<List>),
    /// Reset the connection with this number, of this worker or of any.
    Reset {
        number: u64,
        worker: Option<u64>,
        reply: Reply<Reset>,
    },
    /// Set which records workers log. The answer has those that are silent.
    SetLog(Filter, Reply<Vec<u64>>),
    /// Begin a graceful shutdown, unless one has begun.
    Drain,
    /// Lend the listening sockets to a server that may take this one's place, with the keys of session tickets.
    Lend(oneshot::Sender<io::Result<Loan>>),
    /// Another server has taken its place: leave it these sources, and finish the open connections.
    HandOver {
        kept: Vec<NamedSource>,
        reply: oneshot::Sender<Estate>,
    },
    /// Shut down as at a signal.
    Stop,
}

impl Life {
    pub(super) fn obey(&mut self, order: Order) {
        match order {
            Order::Reload(reply) => self.requests.add(reply),
            Order::Status(reply) => answer(reply, self.status()),
            Order::Connections(query, reply) => self.list(query, reply),
            Order::Reset {
                number,
                worker,
                reply,
            } => self.reset(number, worker, reply),
            Order::SetLog(filter, reply) => self.set_log(&filter, reply),
            Order::Drain => self.drain_on_request(),
            Order::Lend(reply) => answer(reply, self.lend()),
            Order::HandOver { kept, reply } => answer(reply, self.hand_over(&kept)),
            Order::Stop => self.stop(),
        }
    }

    /// Returns what it lends, as long as its sockets accept connections.
    fn lend(&self) -> io::Result<Loan> {
        match self.is_serving() {
            true => Ok(Loan {
                listeners: lend(&self.listening)?,
                tickets: self.workers.tickets(),
            }),
            false => Ok(Loan::default()),
        }
    }
}
