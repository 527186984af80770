//! What a server consists of, and whether it is ready.

use super::command::Readiness;
use serde::Serialize;
use std::time::Duration;

/// What a server consists of.
#[derive(Debug, Default, Serialize)]
pub struct Status {
    /// The name of the service, if it is one of several.
    pub service: Option<String>,
    /// The names of the listeners.
    pub listeners: Vec<String>,
    /// The worker processes, if there are several processes.
    pub workers: Vec<Worker>,
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
pub struct StatusReport {
    version: &'static str,
    state: &'static str,
    /// The process that answers.
    process: u32,
    /// In seconds.
    age: f64,
    #[serde(flatten)]
    status: Status,
}

impl StatusReport {
    pub fn new(readiness: Readiness, age: Duration, status: Status) -> Self {
        Self {
            version: env!("CARGO_PKG_VERSION"),
            state: match readiness {
                Readiness::Starting => "starting",
                Readiness::Ready => "ready",
                Readiness::NoWorker => "no-worker",
                Readiness::Ending => "ending",
            },
            process: std::process::id(),
            age: age.as_secs_f64(),
            status,
        }
    }
}
