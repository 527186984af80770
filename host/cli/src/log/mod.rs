//! The log, on standard error.

mod fields;
mod filter;
mod named;
mod recent;

pub use fields::indented;
pub use filter::{Filter, VARIABLE, changed_filter, set_filter};
pub use recent::{Record, note, recent};

use clap::ValueEnum;
use evconn::Stderr;
use named::Named;
use recent::Noting;
use std::io::{IsTerminal, stderr};
use tracing_subscriber::Layer;
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

/// The format of a record.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Text
    Human,
    /// A JSON object per line
    Json,
}

/// How records get to standard error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Writer {
    /// Written by the thread that logs, in order with what else it writes there.
    Blocking,
    /// Queued for a thread that writes: who logs never waits for who reads.
    NonBlocking,
}

/// Starts the log, filtered by `RUST_LOG`. The process has to [`flush`] it before it ends.
pub fn start(format: Format, writer: Writer) {
    start_with(format, writer, stderr().is_terminal(), None);
}

/// Starts the log of a process whose supervisor passes it on. It has colors if the supervisor's is a terminal, and the
/// name of the service in each record if there are several.
#[cfg(unix)]
pub fn start_in_child(format: Format, is_terminal: bool, service: Option<String>) {
    start_with(format, Writer::NonBlocking, is_terminal, service);
}

fn start_with(format: Format, writer: Writer, has_colors: bool, service: Option<String>) {
    let writer = match (writer, service) {
        (Writer::Blocking, _) => BoxMakeWriter::new(stderr),
        (Writer::NonBlocking, None) => BoxMakeWriter::new(Noting(Stderr::default)),
        (Writer::NonBlocking, Some(service)) => {
            BoxMakeWriter::new(Named::new(Stderr::default, format, &service))
        }
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(has_colors)
        .with_target(false);
    let lines = match format {
        Format::Human => lines.fmt_fields(fields::Fields).boxed(),
        Format::Json => lines.json().boxed(),
    };
    let (filter, handle) = reload::Layer::new(filter::from_environment());
    filter::keep(handle);
    tracing_subscriber::registry()
        .with(lines)
        .with(filter)
        .init();
}

/// Whether the log is shown on a terminal.
#[cfg(unix)]
pub fn is_terminal() -> bool {
    stderr().is_terminal()
}

/// Returns a line of the log without the colors that it has on a terminal.
fn plain(line: &str) -> String {
    let mut parts = line.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    // An escape sequence of colors ends with `m`.
    let others = parts.map(|part| part.split_once('m').map_or(part, |(_, rest)| rest));
    others.fold(first, |all, part| all + part)
}

/// Waits until queued records are written, up to a second.
pub fn flush() {
    Stderr::flush_all();
}
