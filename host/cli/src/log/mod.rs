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
        Ok(text) => targets(text).unwrap_or_else(|problem| {
            eprintln!(
                "evconn: RUST_LOG is not used, and the log is what it is without: {problem}; it takes a level \
                 (error, warn, info, debug, trace or off), or one of a part, such as evconn=debug"
            );
            default
        }),
    }
}

/// Who may be asked for without a level.
const PARTS: [&str; 8] = [
    "cranelift",
    "evconn",
    "mio",
    "rustls",
    "tokio",
    "tracing",
    "wasmtime",
    "wiggle",
];

/// What the text asks for. A word alone is taken for the name of a part, whatever it is: a misspelt level
/// would silence the log.
fn targets(text: &str) -> Result<Targets, String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_part = |word: &str| PARTS.iter().any(|part| word.starts_with(part));
    let mut words = text.split(',').map(str::trim);
    match words.find(|word| !word.contains('=') && !is_level(word) && !is_part(word)) {
        Some(word) => Err(format!("{word:?} is no level")),
        None => text.parse().map_err(|error| format!("{text:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_parts_are_taken() {
        for text in [
            "debug",
            "OFF",
            "evconn",
            "evconn=debug",
            "info,wasmtime_wasi=trace",
            "evconn::sockets,warn",
            "other=debug",
        ] {
            assert!(targets(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_said_to_be_one() {
        for (text, word) in [
            ("inof", "\"inof\""),
            ("warn,debgu", "\"debgu\""),
            ("evconn=inof", "evconn=inof"),
        ] {
            let problem = targets(text).expect_err("no level");
            assert!(problem.contains(word), "{problem}");
        }
    }
}
