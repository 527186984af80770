//! Which records are logged: the environment variable `RUST_LOG` says so, until the filter is set to another one.

use std::fmt;
use std::sync::{Mutex, OnceLock, PoisonError};
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::reload::Handle;

/// The environment variable.
pub const VARIABLE: &str = "RUST_LOG";

const EXPECTED: &str = "expected a level (error, warn, info, debug, trace or off), or one for a crate, such as evconn=debug";

/// A filter, which is known to be valid.
#[derive(Clone, Debug)]
pub struct Filter {
    text: String,
    targets: Targets,
}

impl Filter {
    /// Parses what the environment variable may be.
    ///
    /// # Errors
    /// What is wrong with it, in one line.
    pub fn parse(text: &str) -> Result<Self, String> {
        let problem = |problem: String| format!("{problem}; {EXPECTED}");
        if text.is_empty() {
            return Err(problem("the filter is empty".to_owned()));
        }
        Ok(Self {
            targets: parse(text).map_err(problem)?,
            text: text.to_owned(),
        })
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Replaces the filter of the log.
type Replace = Box<dyn Fn(Targets) + Send + Sync>;

static REPLACE: OnceLock<Replace> = OnceLock::new();

/// The filter that was set, if one was.
static CHANGED: Mutex<Option<String>> = Mutex::new(None);

/// Keeps the handle of the log's filter.
pub fn keep<S: 'static>(handle: Handle<Targets, S>) {
    let replace: Replace = Box::new(move |targets| {
        // It fails only if the log is gone, which is never.
        let _ = handle.reload(targets);
    });
    // A process starts its log once.
    let _ = REPLACE.set(replace);
}

/// Sets which records are logged from now on, also by processes that are started later.
pub fn set_filter(filter: &Filter) {
    let mut changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some(replace) = REPLACE.get() {
        replace(filter.targets.clone());
    }
    *changed = Some(filter.text.clone());
}

/// Returns the filter that was set, if one was.
pub fn changed_filter() -> Option<String> {
    let changed = CHANGED.lock().unwrap_or_else(PoisonError::into_inner);
    changed.clone()
}

/// The filter that `RUST_LOG` asks for, or else all from level `info` on.
pub fn from_environment() -> Targets {
    let default = Targets::new().with_default(LevelFilter::INFO);
    match std::env::var(VARIABLE).as_deref() {
        Err(_) | Ok("") => default,
        Ok(text) => parse(text).unwrap_or_else(|problem| {
            eprintln!("evconn: RUST_LOG is ignored: {problem}; {EXPECTED}");
            default
        }),
    }
}

/// Prefixes of the crates that may be named without a level.
const CRATES: [&str; 8] = [
    "cranelift",
    "evconn",
    "mio",
    "rustls",
    "tokio",
    "tracing",
    "wasmtime",
    "wiggle",
];

/// `Targets` takes any word for the name of a crate: a misspelt level would silence the log.
fn parse(text: &str) -> Result<Targets, String> {
    let is_level = |word: &str| word.parse::<LevelFilter>().is_ok();
    let is_crate = |word: &str| CRATES.iter().any(|name| word.starts_with(name));
    let mut words = text.split(',').map(str::trim);
    match words.find(|word| !word.contains('=') && !is_level(word) && !is_crate(word)) {
        Some(word) => Err(format!("{word:?} is not a level")),
        None => text.parse().map_err(|error| format!("{text:?}: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_and_crates_are_accepted() {
        for text in [
            "debug",
            "OFF",
            "evconn",
            "evconn=debug",
            "info,wasmtime_wasi=trace",
            "evconn::sockets,warn",
            "other=debug",
        ] {
            assert!(parse(text).is_ok(), "{text}");
        }
    }

    #[test]
    fn a_misspelt_level_is_an_error() {
        for (text, word) in [
            ("inof", "\"inof\""),
            ("warn,debgu", "\"debgu\""),
            ("evconn=inof", "evconn=inof"),
        ] {
            let problem = parse(text).expect_err("not a level");
            assert!(problem.contains(word), "{problem}");
        }
    }
}
