//! The tables, as text: for the screen, and for one snapshot.

use super::answers::{Answer, Connection, Record, ServiceStatus, Worker};
use super::history::History;
use super::numbers::{age, bytes, seconds, whole};
use super::{Plain, causes};
use std::cmp::Reverse;

/// A table of the view.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pane {
    Connections,
    Listeners,
    Processes,
    Ends,
    /// The last warnings and errors.
    Log,
}

impl Pane {
    pub const ALL: [Self; 5] = [
        Self::Connections,
        Self::Listeners,
        Self::Processes,
        Self::Ends,
        Self::Log,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Connections => "Connections",
            Self::Listeners => "Listeners",
            Self::Processes => "Processes",
            Self::Ends => "Ends",
            Self::Log => "Log",
        }
    }

    /// Returns what is said in the place of an empty table.
    pub fn nothing(self) -> &'static str {
        match self {
            Self::Connections => "No open connections",
            Self::Listeners => "The server does not listen",
            Self::Processes => "No processes",
            Self::Ends => "No connection has ended",
            Self::Log => "No warning and no error was logged",
        }
    }
}

/// What the first connections are.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sort {
    /// The oldest.
    #[default]
    Age,
    /// Those that have received most.
    Received,
    /// Those that have sent most.
    Sent,
}

impl Sort {
    /// Returns its name, which is that of the column, too.
    pub fn name(self) -> &'static str {
        match self {
            Self::Age => "age",
            Self::Received => "received",
            Self::Sent => "sent",
        }
    }

    pub fn next(self) -> Self {
        match self {
            Self::Age => Self::Received,
            Self::Received => Self::Sent,
            Self::Sent => Self::Age,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Column {
    pub name: &'static str,
    pub is_right: bool,
    /// Columns of the highest rank are left out first where there is not enough space.
    pub rank: u8,
}

const fn left(name: &'static str, rank: u8) -> Column {
    Column {
        name,
        is_right: false,
        rank,
    }
}

const fn right(name: &'static str, rank: u8) -> Column {
    Column {
        name,
        is_right: true,
        rank,
    }
}

pub struct Table {
    pub columns: Vec<Column>,
    pub rows: Vec<Vec<String>>,
}

impl Table {
    fn new(columns: &[Column], rows: impl Iterator<Item = Vec<String>>) -> Self {
        Self {
            columns: columns.to_vec(),
            rows: rows.collect(),
        }
    }

    /// Leaves out the names of services if there are none.
    fn with_names_if(mut self, has_names: bool) -> Self {
        let service = self
            .columns
            .iter()
            .position(|column| column.name == "service");
        if let Some(at) = service.filter(|_| !has_names) {
            self.columns.remove(at);
            self.rows.iter_mut().for_each(|row| drop(row.remove(at)));
        }
        self
    }
}

/// Returns a table. The connections are those that are shown.
pub fn table(pane: Pane, answer: &Answer, history: &History, connections: &[&Connection]) -> Table {
    let table = match pane {
        Pane::Connections => of_connections(connections),
        Pane::Listeners => listeners(answer),
        Pane::Processes => processes(answer),
        Pane::Ends => return ends(history),
        Pane::Log => return log(answer),
    };
    table.with_names_if(answer.has_names())
}

fn of_connections(connections: &[&Connection]) -> Table {
    const COLUMNS: [Column; 10] = [
        right("number", 0),
        left("peer", 0),
        left("service", 3),
        left("listener", 4),
        right("age", 1),
        right("received", 1),
        right("sent", 1),
        left("state", 2),
        left("instance", 6),
        right("worker", 5),
    ];
    let row = |connection: &&Connection| {
        vec![
            connection.number.to_string(),
            connection.peer.to_string(),
            connection.service.clone().unwrap_or_default().to_string(),
            connection.listener.to_string(),
            age(connection.age),
            bytes(connection.received as f64),
            bytes(connection.sent as f64),
            connection.state.replace('-', " "),
            connection.instance.to_string(),
            or_dash(connection.worker.map(|worker| worker.to_string())),
        ]
    };
    Table::new(&COLUMNS, connections.iter().map(row))
}

fn or_dash(text: Option<String>) -> String {
    text.unwrap_or_else(|| "–".to_owned())
}

/// Returns the sum of a metric of a service.
fn of_service(answer: &Answer, metric: &str, service: &ServiceStatus) -> Option<f64> {
    let name = service.name.as_deref().unwrap_or_default();
    answer
        .families
        .as_ref()?
        .sum_of(metric, &[("service", name)])
}

fn listeners(answer: &Answer) -> Table {
    const COLUMNS: [Column; 5] = [
        left("service", 0),
        left("listener", 0),
        left("state", 1),
        right("open", 2),
        right("accepted", 3),
    ];
    let row = |(service, listener): (&ServiceStatus, Option<&Plain>)| {
        // What is counted is a service's, whatever the number of its listeners.
        let count = |metric| match listener.is_some() && listener != service.listeners.first() {
            true => String::new(),
            false => {
                let count = of_service(answer, metric, service);
                or_dash(count.map(|count| whole(count as u64)))
            }
        };
        vec![
            service.name.clone().unwrap_or_default().to_string(),
            or_dash(listener.map(Plain::to_string)),
            listening(&service.state).to_owned(),
            count("evconn_connections_open"),
            count("evconn_connections_accepted_total"),
        ]
    };
    Table::new(&COLUMNS, answer.listeners().into_iter().map(row))
}

/// Returns the state of a listener whose service is in a state.
fn listening(state: &str) -> &str {
    match state {
        "ready" => "accepting",
        "no-worker" => "not accepting",
        "ending" => "draining",
        other => other,
    }
}

fn processes(answer: &Answer) -> Table {
    const COLUMNS: [Column; 8] = [
        left("service", 2),
        left("process", 0),
        right("id", 3),
        left("state", 1),
        right("age", 4),
        right("CPU time", 5),
        right("memory", 1),
        right("files", 1),
    ];
    let status = &answer.status;
    let workers = status.services.iter().flat_map(|service| {
        service
            .workers
            .iter()
            .map(move |worker| of_worker(answer, service, worker))
    });
    let has_workers = status
        .services
        .iter()
        .any(|service| !service.workers.is_empty());
    let [cpu, memory, files] = of_process(answer, &[("process", "main")]);
    let first = vec![
        String::new(),
        if has_workers { "supervisor" } else { "server" }.to_owned(),
        status.process.to_string(),
        status.state.replace('-', " "),
        age(status.age),
        cpu,
        memory,
        files,
    ];
    Table::new(&COLUMNS, std::iter::once(first).chain(workers))
}

fn of_worker(answer: &Answer, service: &ServiceStatus, worker: &Worker) -> Vec<String> {
    let name = service.name.clone().unwrap_or_default();
    let member = worker.member.to_string();
    let [cpu, memory, files] = of_process(answer, &[("process", &member), ("service", &name)]);
    vec![
        name.to_string(),
        format!("worker {}", worker.number),
        worker.process.to_string(),
        worker.state.to_string(),
        age(worker.age),
        cpu,
        memory,
        files,
    ]
}

/// Returns the CPU time of a process, its memory, and the number of its descriptors.
fn of_process(answer: &Answer, labels: &[(&str, &str)]) -> [String; 3] {
    let value = |metric, text: fn(f64) -> String| {
        let families = answer.families.as_ref();
        let value = families.and_then(|families| families.sum_of(metric, labels));
        or_dash(value.map(text))
    };
    [
        value("evconn_process_cpu_seconds_total", seconds),
        value("evconn_process_resident_memory_bytes", bytes),
        value("evconn_process_open_fds", |files| whole(files as u64)),
    ]
}

/// The newest first.
fn log(answer: &Answer) -> Table {
    const COLUMNS: [Column; 3] = [left("time", 1), left("level", 2), left("record", 0)];
    let row = |record: &Record| {
        // To the second.
        let time = record.time.split('.').next().unwrap_or_default();
        vec![
            time.replace('T', " "),
            record.level.to_lowercase(),
            record.text.to_string(),
        ]
    };
    Table::new(&COLUMNS, answer.log.records.iter().rev().map(row))
}

fn ends(history: &History) -> Table {
    const COLUMNS: [Column; 5] = [
        left("kind", 1),
        left("cause", 0),
        right("last 5 min", 0),
        right("total", 0),
        left("meaning", 2),
    ];
    // How many there were of it since the oldest scrape, if there was another one since.
    let recent = |cause: &str, count: u64| {
        let newest = history.newest().map_or(0.0, |newest| newest.time);
        let oldest = history
            .oldest_shown()
            .filter(|oldest| oldest.time < newest)?;
        let before = oldest.ends.get(cause).copied().unwrap_or_default();
        Some(whole(count.saturating_sub(before as u64)))
    };
    let newest = history.newest().map(|newest| &newest.ends);
    let ends = newest
        .into_iter()
        .flatten()
        .filter(|(_, count)| **count > 0.0);
    let mut ends: Vec<_> = ends
        .map(|(cause, count)| (causes::of(cause), cause, *count as u64))
        .collect();
    ends.sort_by_key(|((kind, _), _, count)| (*kind, Reverse(*count)));
    let row = |((kind, meaning), cause, count): ((causes::Kind, &str), &String, u64)| {
        vec![
            kind.name().to_owned(),
            cause.replace('_', " "),
            or_dash(recent(cause, count)),
            whole(count),
            meaning.to_owned(),
        ]
    };
    Table::new(&COLUMNS, ends.into_iter().map(row))
}
