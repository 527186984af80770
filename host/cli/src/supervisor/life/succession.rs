//! One server takes the place of another one, with some of its listening sockets.

use super::{Life, Phase, refuse_connections, remove_files};
use crate::admin::Admin;
use crate::args::{NamedListening, NamedSource};
use crate::control::ToWorker;
use crate::supervisor::start::{Lent, lend};
use std::io;
use tokio::sync::oneshot;

/// An order to a running server.
pub enum Order {
    /// Read the component and the certificate again.
    Reload,
    /// Lend the listening sockets to a server that may take this one's place.
    Lend(oneshot::Sender<io::Result<Vec<Lent>>>),
    /// Another server has taken its place: leave it these sources, and finish the open connections.
    HandOver {
        kept: Vec<NamedSource>,
        keeps_admin: bool,
        reply: oneshot::Sender<Estate>,
    },
    /// Shut down as at a signal.
    Stop,
}

/// What a server leaves to the one that takes its place.
pub struct Estate {
    listening: Vec<NamedListening>,
    admin: Option<Admin>,
}

impl Life {
    pub(super) fn obey(&mut self, order: Order) {
        // Whoever gave the order may be gone, with all servers.
        match order {
            Order::Reload => self.ask_for_reload(),
            Order::Lend(reply) => drop(reply.send(lend(&self.listening))),
            Order::HandOver {
                kept,
                keeps_admin,
                reply,
            } => drop(reply.send(self.hand_over(&kept, keeps_admin))),
            Order::Stop => self.stop(),
        }
    }

    /// Takes over what the server has left whose place this one takes.
    pub fn inherit(&mut self, estate: Estate) {
        self.listening.extend(estate.listening);
        if let Some(admin) = estate.admin {
            self.admin = admin;
        }
    }

    fn hand_over(&mut self, kept: &[NamedSource], keeps_admin: bool) -> Estate {
        self.give_up_reload();
        let all = std::mem::take(&mut self.listening).into_iter();
        let (left, mut gone): (Vec<_>, Vec<_>) =
            all.partition(|named| kept.contains(&named.source));
        // What waits in a queue that nobody else has is accepted.
        let how = match gone.is_empty() {
            true => ToWorker::Retire,
            false => ToWorker::Drain,
        };
        gone.iter().for_each(refuse_connections);
        gone.iter_mut().for_each(remove_files);
        self.workers.give_up_all(&how);
        self.workers.close_sockets();
        self.phase = Phase::Replaced;
        Estate {
            listening: left,
            admin: keeps_admin.then(|| std::mem::replace(&mut self.admin, Admin::none())),
        }
    }
}
