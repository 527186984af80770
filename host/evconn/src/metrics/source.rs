//! The handle with which metrics are read: of one server, or of several together.

use super::Recorder;
use super::encode::{Format, encode};
use super::sys::{Usage, Usages};
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
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Process {
    /// The one that reads the metrics.
    This,
    /// A member of a quota.
    #[cfg_attr(not(unix), allow(dead_code, reason = "quotas require Unix"))]
    Member { number: u16, id: u32 },
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
///
/// let several = metrics.of_service("echo");
/// let text = several.encode();
/// assert!(text.contains("\nevconn_connections_open{service=\"echo\"} 0\n"));
/// # Ok(())
/// # }
/// ```
#[derive(Clone)]
pub struct Metrics(Vec<Part>);

/// The metrics of one server.
#[derive(Clone)]
pub(super) struct Part {
    /// The label `service`.
    pub service: Option<Arc<str>>,
    origin: Origin,
    /// The number of the first member, as the label `process` has it.
    first_member: u16,
}

#[derive(Clone)]
enum Origin {
    Live(Arc<dyn Source>, Arc<Usages>),
    /// What was counted by servers that have ended.
    Ended(Arc<Snapshot>),
}

impl Metrics {
    pub(crate) fn of(source: impl Source + 'static) -> Self {
        Self(vec![Part {
            service: None,
            origin: Origin::Live(Arc::new(source), Arc::default()),
            first_member: 0,
        }])
    }

    /// Gives these metrics the label `service`, for a text that has those of several servers.
    pub fn of_service(mut self, name: &str) -> Self {
        let name: Arc<str> = name.into();
        for part in &mut self.0 {
            part.service = Some(Arc::clone(&name));
        }
        self
    }

    /// Numbers the processes of a quota from here on, as the label `process` has them: for servers of the same service,
    /// one of which takes the place of the other.
    pub fn with_first_process(mut self, number: u16) -> Self {
        for part in &mut self.0 {
            part.first_member = number;
        }
        self
    }

    /// Returns these metrics and others together. Those of the same service are added up.
    pub fn and(mut self, others: Self) -> Self {
        for other in others.0 {
            let mut known = self.0.iter_mut();
            let ended = match &other.origin {
                Origin::Ended(counts) => known
                    .find_map(|part| part.ended_of(&other.service))
                    .zip(Some(counts)),
                Origin::Live(..) => None,
            };
            match ended {
                Some((sum, counts)) => *Arc::make_mut(sum) += counts,
                None => self.0.push(other),
            }
        }
        self
    }

    /// Returns what was counted until now, for a server that has ended: nothing is read any more.
    pub fn ended(self) -> Self {
        let empty = Self(Vec::new());
        self.0.into_iter().fold(empty, |all, part| {
            let counts = Origin::Ended(Arc::new(part.snapshot()));
            all.and(Self(vec![Part {
                origin: counts,
                ..part
            }]))
        })
    }

    /// Returns all metrics as OpenMetrics text, of the media type
    /// `application/openmetrics-text; version=1.0.0; charset=utf-8`. On Linux, this reads files of `/proc`: call it as
    /// often as metrics are scraped, rather than for each connection, and on the same value or a clone of it, since
    /// what takes long to find out is kept for the next time.
    pub fn encode(&self) -> String {
        encode(&self.0, Format::OpenMetrics)
    }

    /// Returns the same in the older text format of Prometheus, of the media type
    /// `text/plain; version=0.0.4; charset=utf-8`.
    pub fn encode_text(&self) -> String {
        encode(&self.0, Format::Prometheus)
    }
}

impl Part {
    fn ended_of(&mut self, service: &Option<Arc<str>>) -> Option<&mut Arc<Snapshot>> {
        match &mut self.origin {
            Origin::Ended(counts) if self.service == *service => Some(counts),
            _ => None,
        }
    }

    pub fn snapshot(&self) -> Snapshot {
        match &self.origin {
            Origin::Live(source, _) => source.snapshot(),
            Origin::Ended(counts) => (**counts).clone(),
        }
    }

    /// Returns what its processes use. `None` as a name: the process that reads the metrics.
    pub fn usages(&self) -> Vec<(Option<u16>, Usage)> {
        let Origin::Live(source, usages) = &self.origin else {
            return Vec::new();
        };
        let processes = source.processes();
        let used = usages.read(&processes).into_iter();
        let names = processes.iter().map(|process| match process {
            Process::This => None,
            Process::Member { number, .. } => Some(number.saturating_add(self.first_member)),
        });
        names.zip(used).collect()
    }
}

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let services = self.0.iter().map(|part| part.service.as_deref());
        f.debug_list().entries(services).finish()
    }
}

impl Source for Recorder {
    fn snapshot(&self) -> Snapshot {
        self.snapshot()
    }

    fn processes(&self) -> Vec<Process> {
        vec![Process::This]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::Count;

    fn counting(accepted: u64) -> Metrics {
        let recorder = Recorder::default();
        recorder.add(Count::Denied, accepted);
        Metrics::of(recorder)
    }

    fn accepted(metrics: &Metrics) -> Vec<String> {
        let text = metrics.encode();
        let lines = text
            .lines()
            .filter(|line| line.contains("connections_accepted_total"));
        lines.map(str::to_owned).collect()
    }

    #[test]
    fn those_of_the_same_service_are_added_up() {
        let all = counting(1)
            .of_service("a")
            .and(counting(10).of_service("b"))
            .and(counting(100).of_service("a").ended())
            .and(counting(1000).of_service("a").ended());
        assert_eq!(
            accepted(&all),
            [
                "evconn_connections_accepted_total{service=\"a\"} 1101",
                "evconn_connections_accepted_total{service=\"b\"} 10",
            ]
        );
        assert_eq!(all.0.len(), 3, "what has ended is one part");
        let main = "evconn_process_resident_memory_bytes{process=\"main\"}";
        let expected = usize::from(cfg!(target_os = "linux"));
        assert_eq!(all.encode().matches(main).count(), expected);
    }

    #[test]
    fn what_has_ended_changes_no_more() {
        let recorder = Recorder::default();
        let ended = Metrics::of(recorder.clone()).ended();
        recorder.add(Count::Denied, 1);
        assert_eq!(accepted(&ended), ["evconn_connections_accepted_total 0"]);
    }
}
