//! The log, on standard error.

mod fields;
mod writer;

pub use fields::indented;
pub use writer::flush;

use clap::ValueEnum;
use std::io::{self, IsTerminal, stderr};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::fmt::writer::BoxMakeWriter;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

/// How it is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Format {
    /// Lines to read.
    Human,
    /// A JSON object a line.
    Json,
}

/// Who writes it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// Whoever logs: in its place among what else is written there.
    AtOnce,
    /// A thread: nobody waits for whoever reads it.
    ByThread,
}

/// Log what `RUST_LOG` asks for (`debug`, or `evconn=debug`), or else from level `info` on. At its end,
/// the process is to [`flush`] it.
///
/// # Errors
/// If there can be no thread for it.
pub fn start(format: Format, way: Way) -> io::Result<()> {
    let writer = match way {
        Way::AtOnce => BoxMakeWriter::new(stderr),
        Way::ByThread => BoxMakeWriter::new(writer::start()?),
    };
    let lines = tracing_subscriber::fmt::layer()
        .with_writer(writer)
        .with_ansi(stderr().is_terminal())
        .with_target(false);
    let lines = match format {
        Format::Human => lines.fmt_fields(fields::Fields).boxed(),
        Format::Json => lines.json().boxed(),
    };
    tracing_subscriber::registry()
        .with(lines)
        .with(wanted())
        .init();
    Ok(())
}

fn wanted() -> Targets {
    let default = Targets::new().with_default(LevelFilter::INFO);
    match std::env::var("RUST_LOG").as_deref() {
        Err(_) | Ok("") => default,
        Ok(text) => text.parse().unwrap_or_else(|error| {
            eprintln!("evconn: RUST_LOG is not used: {text:?} is no level such as debug: {error}");
            default
        }),
    }
}
