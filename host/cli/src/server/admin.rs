//! The commands of the admin endpoint, in one process.

use super::reload::Reloads;
use crate::admin::{Admin, Command, List, Readiness, Reset, Service, answer};
use crate::log;
use evconn::{Metrics, ServerHandle};
use std::sync::Arc;
use tokio::sync::Notify;

/// What carries out the commands.
pub struct Administrator {
    server: ServerHandle,
    metrics: Metrics,
    /// The names of the listeners.
    listeners: Vec<String>,
    reloads: Reloads,
    /// Notified of the command that ends the server.
    drain: Arc<Notify>,
    state: Readiness,
}

impl Administrator {
    pub fn new(
        server: ServerHandle,
        listeners: Vec<String>,
        reloads: Reloads,
        drain: Arc<Notify>,
    ) -> Self {
        Self {
            metrics: server.metrics(),
            server,
            listeners,
            reloads,
            drain,
            state: Readiness::Ready,
        }
    }

    /// Carries out the commands until the process ends.
    pub async fn run(mut self, mut admin: Admin) {
        let server = self.server.clone();
        let mut stopping = std::pin::pin!(server.stopping());
        loop {
            admin.set_readiness(self.state);
            tokio::select! {
                () = &mut stopping, if self.state == Readiness::Ready => {
                    self.state = Readiness::Ending;
                }
                Some(command) = admin.commands.recv() => self.carry_out(command),
                else => return,
            }
        }
    }

    fn carry_out(&self, command: Command) {
        match command {
            Command::Metrics(reply) => answer(reply, self.metrics.clone()),
            Command::Status(reply) => answer(reply, vec![self.status()]),
            Command::Connections(query, reply) => answer(reply, List::of(&self.server, &query)),
            Command::Reset {
                number,
                worker,
                reply,
            } => {
                // There is no worker.
                let is_reset = worker.is_none() && self.server.reset(number);
                let reset = match is_reset {
                    true => Reset::Done,
                    false => Reset::Unknown,
                };
                answer(reply, reset);
            }
            // The service has no name.
            Command::Drain(Some(_), reply) => answer(reply, false),
            Command::Drain(None, reply) => {
                self.drain.notify_one();
                answer(reply, true);
            }
            Command::Reload(reply) => self.reloads.add(reply),
            Command::SetLog(filter, reply) => {
                log::set_filter(&filter);
                answer(reply, Vec::new());
            }
        }
    }

    fn status(&self) -> Service {
        Service {
            name: None,
            state: self.state,
            listeners: self.listeners.clone(),
            workers: Vec::new(),
        }
    }
}
