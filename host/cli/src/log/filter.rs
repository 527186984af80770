//! Which records are logged: the environment variable `RUST_LOG`.

use tracing_subscriber::filter::{LevelFilter, Targets};

/// The filter that `RUST_LOG` asks for, or else all from level `info` on.
pub fn from_environment() -> Targets {
    let default = Targets::new().with_default(LevelFilter::INFO);
    match std::env::var("RUST_LOG").as_deref() {
        Err(_) | Ok("") => default,
        Ok(text) => parse(text).unwrap_or_else(|problem| {
            eprintln!(
                "evconn: RUST_LOG is ignored: {problem}; expected a level (error, warn, info, debug, trace or \
                 off), or one for a crate, such as evconn=debug"
            );
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
