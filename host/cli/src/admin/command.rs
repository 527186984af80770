//! What the endpoint asks of the server.

use super::{List, Query, Service};
use crate::log::Filter;
use evconn::Metrics;
use serde::Serialize;
use std::time::Instant;
use tokio::sync::{mpsc, oneshot, watch};

/// Where the answer to a command goes.
pub type Reply<T> = oneshot::Sender<T>;

/// A command to the server, which may have several services.
pub enum Command {
    /// The metrics of all services.
    Metrics(Reply<Metrics>),
    /// Listeners and workers, for each service.
    Status(Reply<Vec<Service>>),
    /// What is known of the open connections.
    Connections(Query, Reply<List>),
    /// Resets the connection with this number, of this worker if that is given.
    Reset {
        number: u64,
        worker: Option<u64>,
        reply: Reply<Reset>,
    },
    /// Begins a graceful shutdown, of this service or of all, unless one has begun. Returns whether there is such a
    /// service.
    Drain(Option<String>, Reply<bool>),
    /// Reads the component and the certificate again, or the configuration, and answers when that is done.
    Reload(Reply<Reload>),
    /// Sets which records are logged. Returns the workers that have not answered.
    SetLog(Filter, Reply<Vec<u64>>),
}

/// The outcome of a reset.
#[derive(Debug)]
pub enum Reset {
    Done,
    /// No connection has this number.
    Unknown,
    /// None of the workers that have answered has it, and these have not.
    Missing(Vec<u64>),
    /// There are several services, and nothing said which of them is meant.
    Ambiguous,
}

impl Reset {
    /// Returns the outcome of both, in different processes.
    pub fn or(self, other: Self) -> Self {
        match (self, other) {
            (Self::Done, _) | (_, Self::Done) => Self::Done,
            (Self::Missing(mut some), Self::Missing(others)) => {
                some.extend(others);
                Self::Missing(some)
            }
            (Self::Unknown, other) => other,
            (this, _) => this,
        }
    }
}

/// The outcome of a reload.
#[derive(Clone, Debug, Default)]
pub struct Reload {
    /// The name of the service, if there are several.
    service: Option<String>,
    /// What was reloaded, a sentence for each.
    pub done: Vec<String>,
    /// What was not, and why.
    pub problems: Vec<String>,
}

/// Logs and keeps what has become of a reload.
impl Reload {
    pub fn of(service: Option<String>) -> Self {
        Self {
            service,
            ..Self::default()
        }
    }

    pub fn certificate_is_new(&mut self) {
        self.succeeds("certificate reloaded".to_owned());
    }

    pub fn component_is_new(&mut self) {
        self.succeeds("component reloaded, for new connections".to_owned());
    }

    pub fn certificate_stays(&mut self, error: &anyhow::Error) {
        self.fails(format!(
            "certificate not reloaded, the old one stays: {error:#}"
        ));
    }

    pub fn component_stays(&mut self, error: &anyhow::Error) {
        self.fails(format!(
            "component not reloaded, the old one stays: {error:#}"
        ));
    }

    /// `changes` are those of services, as ", changed: NAME".
    pub fn configuration_is_new(&mut self, changes: impl std::fmt::Display) {
        self.succeeds(format!("configuration reloaded{changes}"));
    }

    pub fn configuration_stays(&mut self, error: &anyhow::Error) {
        self.fails(format!(
            "configuration not reloaded, the old one stays: {error:#}"
        ));
    }

    /// Adds what has become of a service.
    pub fn add(&mut self, other: Self) {
        let name = other.service.map(|name| format!("{name}: "));
        let name = name.unwrap_or_default();
        let named = |text: String| format!("{name}{text}");
        self.done.extend(other.done.into_iter().map(named));
        self.problems.extend(other.problems.into_iter().map(named));
    }

    fn succeeds(&mut self, text: String) {
        tracing::info!(service = self.service, "{text}");
        self.done.push(text);
    }

    fn fails(&mut self, text: String) {
        tracing::error!(service = self.service, "{text}");
        self.problems.push(text);
    }
}

/// Whether the server is ready for connections.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Readiness {
    /// It does not listen yet, or has no worker that accepts yet.
    Starting,
    Ready,
    /// All workers have died, and others are about to be started.
    NoWorker,
    /// It is shutting down.
    Ending,
}

/// Sends an answer. Whoever has asked may be gone.
pub fn answer<T>(reply: Reply<T>, answer: T) {
    let _ = reply.send(answer);
}

/// What the handlers of requests use: a server that carries out commands.
#[derive(Clone)]
pub struct Desk {
    pub commands: mpsc::Sender<Command>,
    pub readiness: watch::Receiver<Readiness>,
    /// When the endpoint began to listen.
    pub since: Instant,
}

/// Why the server does not carry out a command.
#[derive(Debug)]
pub enum Unavailable {
    Starting,
    Ending,
}

impl Desk {
    /// Asks the server, and waits for its answer.
    pub async fn ask<T>(
        &self,
        command: impl FnOnce(Reply<T>) -> Command,
    ) -> Result<T, Unavailable> {
        if self.readiness() == Readiness::Starting {
            return Err(Unavailable::Starting);
        }
        let (reply, answer) = oneshot::channel();
        let sent = self.commands.send(command(reply)).await;
        sent.map_err(|_| Unavailable::Ending)?;
        answer.await.map_err(|_| Unavailable::Ending)
    }

    pub fn readiness(&self) -> Readiness {
        *self.readiness.borrow()
    }
}
