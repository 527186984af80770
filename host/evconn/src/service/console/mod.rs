//! What a guest prints, and what it is refused: told with the connection that it serves.
//!
//! It goes to the log, where a guest can neither fake lines nor be too loud; or, if that is granted,
//! to standard error as it is.

mod budget;
mod lines;
mod output;

pub(super) use output::Output;

use crate::sockets::Peer;
use crate::sockets::{Denial, OnDenied};
use crate::stderr;
use budget::{Budget, Fate};
use lines::{Line, Overlong, PrintedLines};
use std::fmt;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Instant;
use tracing::info;

/// Whose connection an instance serves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Origin {
    pub number: u64,
    pub peer: Peer,
}

/// How often a connection's guest is told of in the log to be refused something.
const DENIALS: u32 = 4;

/// One instance's.
#[derive(Debug)]
pub(super) struct Console(Mutex<ConsoleState>);

#[derive(Debug)]
struct ConsoleState {
    origin: Origin,
    /// Of what is printed.
    budget: Budget,
    /// How often it was refused something.
    denials: u32,
    stdout: PrintedLines,
    stderr: PrintedLines,
    /// Text goes to standard error as it is.
    inherits: bool,
}

/// The stream that a guest prints to.
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
    pub fn new(origin: Origin, inherits: bool) -> Self {
        let overlong = match inherits {
            true => Overlong::Wrap,
            false => Overlong::Cut,
        };
        Self(Mutex::new(ConsoleState {
            origin,
            budget: Budget::new(Instant::now()),
            denials: 0,
            stdout: PrintedLines::new(overlong),
            stderr: PrintedLines::new(overlong),
            inherits,
        }))
    }

    /// The instance serves this connection from now on.
    pub fn begin(&self, origin: Origin) {
        let mut state = self.state();
        if state.origin.number != origin.number {
            state.origin = origin;
            state.budget = Budget::new(Instant::now());
            state.denials = 0;
        }
    }

    /// The instance is done with its connection: nothing that it printed is kept for the next one.
    pub fn end(&self) {
        self.state().end();
    }

    /// Whether something may be printed now.
    pub(super) fn has_room(&self) -> bool {
        !self.state().inherits || stderr::has_space()
    }

    /// Wait until something may be printed: the log never keeps anybody waiting.
    pub(super) async fn room(&self) {
        let inherits = self.state().inherits;
        if inherits {
            stderr::space().await;
        }
    }

    pub(super) fn write(&self, stream: Stream, bytes: &[u8]) {
        self.state()
            .with_lines(stream, |lines, show| lines.push(bytes, show));
    }

    fn state(&self) -> MutexGuard<'_, ConsoleState> {
        // Whatever was halfway done is text.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl OnDenied for Console {
    fn denied(&self, denial: Denial<'_>) {
        let mut state = self.state();
        state.denials = state.denials.saturating_add(1);
        let Origin { number, peer } = state.origin;
        match state.denials {
            ..DENIALS => info!(number, %peer, "connection's service {denial}"),
            DENIALS => {
                info!(number, %peer, "connection's service {denial}; what else it may not is not logged");
            }
            _ => {}
        }
    }
}

impl ConsoleState {
    fn with_lines(
        &mut self,
        stream: Stream,
        action: impl FnOnce(&mut PrintedLines, &mut dyn FnMut(Line<'_>)),
    ) {
        let Self { origin, budget, .. } = self;
        let mut show = |line: Line<'_>| match self.inherits {
            true => print(origin.number, line),
            false => log(*origin, budget, stream, line),
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
            tell_left_out(self.origin, count);
        }
    }
}

impl Drop for ConsoleState {
    /// Of an instance that has failed, or was given up.
    fn drop(&mut self) {
        self.end();
    }
}

/// At once, so that lines of several connections do not mix.
fn print(number: u64, line: Line<'_>) {
    let mut text = format!("[{number}] ").into_bytes();
    text.extend_from_slice(line.bytes);
    text.push(b'\n');
    stderr::print(&text);
}

fn log(origin: Origin, budget: &mut Budget, stream: Stream, line: Line<'_>) {
    let Origin { number, peer } = origin;
    if let Some(count) = budget.end_span(Instant::now()) {
        tell_left_out(origin, count);
    }
    match budget.take() {
        Fate::Logged => {
            // In quotes and escaped: what follows is not the guest's.
            let bytes = line.bytes.strip_suffix(b"\r").unwrap_or(line.bytes);
            let text = String::from_utf8_lossy(bytes);
            let more = if line.is_cut { "…" } else { "" };
            info!(number, %peer, "connection's {stream}: {text:?}{more}");
        }
        Fate::FirstLeftOut => info!(
            number, %peer,
            "connection's service prints more than {} lines in {:?}: further ones are left out",
            budget::LINES, budget::SPAN
        ),
        Fate::LeftOut => {}
    }
}

fn tell_left_out(Origin { number, peer }: Origin, count: u64) {
    info!(number, %peer, "connection's service: {count} lines that it printed were left out");
}
