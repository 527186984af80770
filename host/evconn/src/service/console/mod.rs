//! What a guest prints, and what it was denied, together with the connection that it serves.
//!
//! This goes to the log, where a guest can neither forge lines nor write too many; or, if that is
//! granted, what it prints goes to standard error unchanged.

mod budget;
mod lines;
mod output;

pub(super) use output::Output;

use crate::log::LogBudget;
use crate::sockets::Peer;
use crate::sockets::{Denial, OnDenied};
use crate::{Stderr, stderr};
use budget::{Budget, Fate};
use lines::{Line, Overlong, PrintedLines};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::info;

/// The connection that an instance serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub number: u64,
    pub peer: Peer,
    /// The port of a program's socket that it is for, if a listen source names one.
    pub port: Option<u16>,
}

/// What the lines of a guest are attributed to.
#[derive(Clone, Copy, Debug)]
enum Subject {
    Connection(Origin),
    /// It has several connections, or none: which one a line is about cannot be told.
    Instance(InstanceNumber),
}

impl Subject {
    fn is(&self, origin: &Origin) -> bool {
        matches!(self, Self::Connection(it) if it.number == origin.number)
    }
}

/// The number of an instance, which is unique in all processes of a server.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InstanceNumber(u64);

impl InstanceNumber {
    /// Returns a number that was not used before.
    pub fn next() -> Self {
        static NEXT: AtomicU64 = AtomicU64::new(1);
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for InstanceNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}", std::process::id(), self.0)
    }
}

/// How many denials are logged for each connection.
const DENIALS: u32 = 4;

/// The console of one instance.
#[derive(Debug)]
pub(crate) struct Console(Mutex<ConsoleState>);

#[derive(Debug)]
struct ConsoleState {
    subject: Subject,
    log: Arc<LogBudget>,
    /// The budget for printed lines.
    budget: Budget,
    /// How often the guest was denied something.
    denials: u32,
    stdout: PrintedLines,
    stderr: PrintedLines,
    /// Whether the text goes to standard error unchanged.
    inherits: bool,
}

/// The stream to which a guest prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stream {
    Stdout,
    Stderr,
}

impl fmt::Display for Stream {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stdout => "stdout",
            Self::Stderr => "stderr",
        })
    }
}

impl Console {
    /// Returns the console of an instance that has this connection.
    pub fn new(origin: Origin, inherits: bool, log: &Arc<LogBudget>) -> Self {
        Self::of(Subject::Connection(origin), inherits, log)
    }

    /// Returns the console of an instance that has no connection yet, or may have several.
    pub fn of_instance(number: InstanceNumber, inherits: bool, log: &Arc<LogBudget>) -> Self {
        Self::of(Subject::Instance(number), inherits, log)
    }

    fn of(subject: Subject, inherits: bool, log: &Arc<LogBudget>) -> Self {
        let overlong = match inherits {
            true => Overlong::Wrap,
            false => Overlong::Cut,
        };
        Self(Mutex::new(ConsoleState {
            subject,
            log: Arc::clone(log),
            budget: Budget::new(Instant::now()),
            denials: 0,
            stdout: PrintedLines::new(overlong),
            stderr: PrintedLines::new(overlong),
            inherits,
        }))
    }

    /// Begins to serve this connection.
    pub fn begin(&self, origin: Origin) {
        let mut state = self.state();
        if !state.subject.is(&origin) {
            state.end();
            state.attribute_to(Subject::Connection(origin));
        }
    }

    /// Ends the current connection of an instance, which continues without one.
    pub fn end_connection(&self, instance: InstanceNumber) {
        let mut state = self.state();
        state.end();
        state.attribute_to(Subject::Instance(instance));
    }

    /// Ends the current connection: nothing that was printed for it is kept for the next one.
    pub fn end(&self) {
        self.state().end();
    }

    /// Returns whether the guest may print now.
    pub(super) fn has_capacity(&self) -> bool {
        !self.state().inherits || stderr::has_space()
    }

    /// Waits until the guest may print. It never has to wait for the log.
    pub(super) async fn capacity(&self) {
        let inherits = self.state().inherits;
        if inherits {
            Stderr::ready().await;
        }
    }

    pub(super) fn write(&self, stream: Stream, bytes: &[u8]) {
        self.state()
            .with_lines(stream, |lines, show| lines.push(bytes, show));
    }

    fn state(&self) -> MutexGuard<'_, ConsoleState> {
        // A panic can leave only incomplete text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnDenied for Console {
    fn denied(&self, denial: Denial<'_>) {
        let mut state = self.state();
        // A limit is reported once by its account.
        if !denial.is_limit() {
            state.denials = state.denials.saturating_add(1);
        }
        let more = match state.denials {
            _ if denial.is_limit() => "",
            ..DENIALS => "",
            DENIALS => "; further denials are not logged",
            _ => return,
        };
        let text = format!("service {denial}{more}");
        log(&state.log, state.subject, &text);
    }
}

impl ConsoleState {
    fn attribute_to(&mut self, subject: Subject) {
        self.subject = subject;
        self.budget = Budget::new(Instant::now());
        self.denials = 0;
    }

    fn with_lines(
        &mut self,
        stream: Stream,
        action: impl FnOnce(&mut PrintedLines, &mut dyn FnMut(Line<'_>)),
    ) {
        let (subject, budget) = (self.subject, &mut self.budget);
        let mut show = |line: Line<'_>| match self.inherits {
            true => print(subject, line),
            false => log_line(&self.log, subject, budget, stream, line),
        };
        match stream {
            Stream::Stdout => action(&mut self.stdout, &mut show),
            Stream::Stderr => action(&mut self.stderr, &mut show),
        }
    }

    fn end(&mut self) {
        for stream in [Stream::Stdout, Stream::Stderr] {
            self.with_lines(stream, |lines, show| lines.finish(show));
        }
        if let Some(count) = self.budget.take_left_out() {
            log_left_out(&self.log, self.subject, count);
        }
    }
}

impl Drop for ConsoleState {
    /// An instance that has failed or was abandoned may have an incomplete line.
    fn drop(&mut self) {
        self.end();
    }
}

/// Prints a line in a single call, so that lines of different connections do not mix.
fn print(subject: Subject, line: Line<'_>) {
    let prefix = match subject {
        Subject::Connection(Origin { number, .. }) => format!("[{number}] "),
        Subject::Instance(number) => format!("[instance {number}] "),
    };
    let mut text = prefix.into_bytes();
    text.extend_from_slice(line.bytes);
    text.push(b'\n');
    stderr::print(&text);
}

/// Logs a line about a connection or an instance, as far as the log budget allows it.
fn log(log: &LogBudget, subject: Subject, text: &str) {
    match subject {
        Subject::Connection(Origin { number, peer, .. }) => {
            if log.take(&peer, text) {
                info!(number, %peer, "connection's {text}");
            }
        }
        Subject::Instance(instance) => {
            if log.take_for_all(text) {
                info!(%instance, "instance's {text}");
            }
        }
    }
}

fn log_line(
    budget_of_all: &LogBudget,
    subject: Subject,
    budget: &mut Budget,
    stream: Stream,
    line: Line<'_>,
) {
    if let Some(count) = budget.end_span(Instant::now()) {
        log_left_out(budget_of_all, subject, count);
    }
    match budget.take() {
        Fate::Logged => {
            // Quoted and escaped, so that the guest cannot forge the rest of the log line.
            let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
            let text = String::from_utf8_lossy(bytes);
            let more = if line.is_cut { "…" } else { "" };
            let text = format!("{stream}: {text:?}{more}");
            log(budget_of_all, subject, &text);
        }
        Fate::FirstLeftOut => {
            let text = format!(
                "service prints more than {} lines in {:?}: further ones are left out",
                budget::LINES,
                budget::SPAN
            );
            log(budget_of_all, subject, &text);
        }
        Fate::LeftOut => {}
    }
}

fn log_left_out(budget_of_all: &LogBudget, subject: Subject, count: u64) {
    let text = format!("service: {count} lines that it printed were left out");
    log(budget_of_all, subject, &text);
}
