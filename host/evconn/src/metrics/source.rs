//! The handle with which metrics are read.

use super::Recorder;
use super::encode::{Format, encode};
use super::words::Snapshot;
use std::fmt;
use std::sync::Arc;

/// Where metrics come from.
pub(crate) trait Source: Send + Sync {
    /// Returns what all processes have counted.
    fn snapshot(&self) -> Snapshot;

    /// Returns the processes.
    fn processes(&self) -> Vec<Process>;
}

/// A process that is measured.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Process {
    /// As the label `process` has it.
    pub name: String,
    /// None: this one.
    pub id: Option<u32>,
}

impl Process {
    /// Returns the process that reads the metrics.
    pub fn this() -> Self {
        Self {
            name: "main".to_owned(),
            id: None,
        }
    }
}

/// The metrics of a server: [`ServerHandle::metrics`](crate::ServerHandle::metrics) returns those of one process,
/// `Quota::metrics` those of all processes together. Cloning is cheap.
///
/// Everything is counted whether somebody reads it or not.
///
/// ```
/// # use evconn::{Host, Server, Service, guests};
/// # #[tokio::main(flavor = "current_thread")]
/// # async fn main() -> Result<(), Box<dyn std::error::Error>> {
/// # let host = Host::new()?;
/// # let service = Service::new(&host, guests::ECHO)?;
/// let server = Server::builder(&service)
///     .listen("127.0.0.1:0".parse()?)
///     .bind()
///     .await?;
/// let metrics = server.handle().metrics();
/// assert!(metrics.encode().contains("\nevconn_connections_open 0\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics(Arc<dyn Source>);

impl Metrics {
    pub(crate) fn of(source: impl Source + 'static) -> Self {
        Self(Arc::new(source))
    }

    /// Returns all metrics as OpenMetrics text, of the media type
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`. On Linux, this reads files of `/proc`: call it as
    /// often as metrics are scraped, rather than for each connection.
    pub fn encode(&self) -> String {
        encode(&*self.0, Format::OpenMetrics)
    }

    /// Returns the same in the older text format of Prometheus, of the media type
    /// `text/plain; version=0.0.4; charset=utf-8`.
    pub fn encode_text(&self) -> String {
        encode(&*self.0, Format::Prometheus)
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metrics").finish_non_exhaustive()
    }
}

impl Source for Recorder {
    fn snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    fn processes(&self) -> Vec<Process> {
        vec![Process::this()]
    }
}
