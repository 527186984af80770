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

/// How many denials are logged for each connection.
const DENIALS: u32 = 4;

/// The console of one instance.
#[derive(Debug)]
pub(super) struct Console(Mutex<ConsoleState>);

#[derive(Debug)]
struct ConsoleState {
    origin: Origin,
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
    pub fn new(origin: Origin, inherits: bool, log: &Arc<LogBudget>) -> Self {
        let overlong = match inherits {
            true => Overlong::Wrap,
            false => Overlong::Cut,
        };
        Self(Mutex::new(ConsoleState {
            origin,
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
        if state.origin.number != origin.number {
            state.origin = origin;
            state.budget = Budget::new(Instant::now());
            state.denials = 0;
        }
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
        log(&state.log, state.origin, &text);
    }
}

impl ConsoleState {
    fn with_lines(
        &mut self,
        stream: Stream,
        action: impl FnOnce(&mut PrintedLines, &mut dyn FnMut(Line<'_>)),
    ) {
        let (origin, budget) = (self.origin, &mut self.budget);
        let mut show = |line: Line<'_>| match self.inherits {
            true => print(origin.number, line),
            false => log_line(&self.log, origin, budget, stream, line),
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
            log_left_out(&self.log, self.origin, count);
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
fn print(number: u64, line: Line<'_>) {
    let mut text = format!("[{number}] ").into_bytes();
    text.extend_from_slice(line.bytes);
    text.push(b'\n');
    stderr::print(&text);
}

/// Logs a line about a connection, as far as the log budget allows it.
fn log(log: &LogBudget, Origin { number, peer, .. }: Origin, text: &str) {
    if log.take(&peer, text) {
        info!(number, %peer, "connection's {text}");
    }
}

fn log_line(
    budget_of_all: &LogBudget,
    origin: Origin,
    budget: &mut Budget,
    stream: Stream,
    line: Line<'_>,
) {
    if let Some(count) = budget.end_span(Instant::now()) {
        log_left_out(budget_of_all, origin, count);
    }
    match budget.take() {
        Fate::Logged => {
            // Quoted and escaped, so that the guest cannot forge the rest of the log line.
            let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
            let text = String::from_utf8_lossy(bytes);
            let more = if line.is_cut { "…" } else { "" };
            let text = format!("{stream}: {text:?}{more}");
            log(budget_of_all, origin, &text);
        }
        Fate::FirstLeftOut => {
            let text = format!(
                "service prints more than {} lines in {:?}: further ones are left out",
                budget::LINES,
                budget::SPAN
            );
            log(budget_of_all, origin, &text);
        }
        Fate::LeftOut => {}
    }
}

fn log_left_out(budget_of_all: &LogBudget, origin: Origin, count: u64) {
    let text = format!("service: {count} lines that it printed were left out");
    log(budget_of_all, origin, &text);
}
