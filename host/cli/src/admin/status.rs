//! What a server consists of, and whether it is ready.

use super::command::Readiness;
use serde::Serialize;
use std::time::Duration;

/// What a service consists of.
#[derive(Debug, Serialize)]
pub struct Service {
    /// Its name, if there may be several.
    pub name: Option<String>,
    pub state: Readiness,
    /// The names of the listeners.
    pub listeners: Vec<String>,
    /// The worker processes, if there are several processes.
    pub workers: Vec<Worker>,
}

impl Service {
    /// Adds what is left of a service whose place this one has taken.
    pub fn add(&mut self, old: Self) {
        self.workers.extend(old.workers);
    }
}

/// A worker process.
#[derive(Debug, Serialize)]
pub struct Worker {
    pub number: u64,
    pub process: u32,
    /// The label `process` of its metrics.
    pub member: u16,
    /// In seconds.
    pub age: f64,
    pub state: WorkerState,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum WorkerState {
    Starting,
    Accepting,
    /// It was told to stop accepting.
    Stopping,
    /// It accepts nothing more, and finishes its connections.
    Finishing,
}

/// The answer to a request.
#[derive(Debug, Serialize)]
pub struct Status {
    version: &'static str,
    state: Readiness,
    /// The process that answers.
    process: u32,
    /// In seconds.
    age: f64,
    services: Vec<Service>,
}

impl Status {
    pub fn new(state: Readiness, age: Duration, services: Vec<Service>) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            state,
            process: std::process::id(),
            age: age.as_secs_f64(),
            services,
        }
    }
}
