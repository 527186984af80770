//! What can be wrong with what is to be a service, for those who wrote or built it.

use crate::interfaces::{HANDLER, LISTENER, Missing, WORLD};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a component cannot be loaded, or composed: one line.
#[derive(Debug)]
pub struct LoadError {
    path: Option<PathBuf>,
    problem: LoadProblem,
}

impl LoadError {
    pub(crate) fn of_bytes(problem: LoadProblem) -> Self {
        Self {
            path: None,
            problem,
        }
    }

    pub(crate) fn of_file(path: &Path, problem: LoadProblem) -> Self {
        Self {
            path: Some(path.to_owned()),
            problem,
        }
    }

    /// The file that it was to be loaded from, if it was one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What is wrong.
    pub fn problem(&self) -> &LoadProblem {
        &self.problem
    }
}

impl fmt::Display for LoadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.path {
            Some(path) => write!(f, "{}: {}", path.display(), self.problem),
            None => write!(f, "the component cannot be loaded: {}", self.problem),
        }
    }
}

// Its text has all there is to say: whoever shows causes, too, would say it twice.
impl std::error::Error for LoadError {}

/// What is wrong with a component, or with what was taken for one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProblem {
    /// There is no such file.
    #[error("there is no such file")]
    Missing,
    /// It is a directory.
    #[error("it is a directory, and no file")]
    Directory,
    /// The file cannot be read for another reason.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// It has more bytes than any component; it may have no end.
    #[error("it has more than 1 GiB: that is no component")]
    TooLong,
    /// There is nothing in it.
    #[error("it is empty")]
    Empty,
    /// It is something else altogether.
    #[error("it is neither a component, nor the text of one{}", if *.is_elf {
        ", nor code that evconn compiled (or not all of it)"
    } else {
        ""
    })]
    NotWebAssembly {
        /// It is an ELF file, as compiled code is.
        is_elf: bool,
    },
    /// It is WebAssembly text with a mistake: where, and which.
    #[error("its WebAssembly text is wrong: {0}")]
    Text(String),
    /// It is valid, and uses features of WebAssembly that this host does not support: their names.
    #[error("it uses what this host does not support: {}", .0.join(", "))]
    Unsupported(Vec<&'static str>),
    /// It uses async functions, streams or futures.
    #[error(
        "it was built for WASI 0.3 (async functions, streams and futures), which this host does not \
         support: build it for WASI 0.2"
    )]
    Async,
    /// It would take more time and memory to compile than its size suggests: why.
    #[error("it is too complex: {0}")]
    TooComplex(String),
    /// It is WebAssembly, but cut off, or not valid.
    #[error("it is not valid WebAssembly, or not all of it: {0}")]
    Invalid(String),
    /// It is a core module.
    #[error(
        "it is a core module, and no component: build it for wasm32-wasip2, or make a component of it \
         with `wasm-tools component new`"
    )]
    CoreModule,
    /// It does not export the handler. What it does export.
    #[error("{}", no_handler(.0))]
    NoHandler(Vec<String>),
    /// It does not export `wasi:cli/run`. What it does export.
    #[error("{}", no_command(.0))]
    NoCommand(Vec<String>),
    /// It does not import the listener, so that there is nothing to be put in. What it exports.
    #[error("{}", no_listener(.0))]
    NoListener(Vec<String>),
    /// It has the listener in it already.
    #[error("it has been composed already: the listener is in it")]
    Composed,
    /// It imports, or exports, the listener of another version of evconn: its name.
    #[error(
        "its listener is {0}, and the one that there is to put in is {LISTENER}: build it for that version"
    )]
    OtherListener(String),
    /// What it imports, or exports, as the listener is something else.
    #[error(
        "it has {LISTENER}, but not as this interface is defined: build it with what `evconn wit` prints"
    )]
    WrongListener,
    /// It exports the listener, which it is to import.
    #[error(
        "it exports a listener: what is composed with one is to import it, as the world evconn:tcp/command@0.1.0 does"
    )]
    ExportsListener,
    /// It was to be put between the listener and an application.
    #[error(
        "it exports no listener: what goes between the listener and an application imports {LISTENER}, and exports it, too"
    )]
    NoMiddleware,
    /// The parts do not fit.
    #[error("it cannot be composed: {0}")]
    NotComposed(String),
    /// It exports the handler of another version of evconn: its name.
    #[error("it exports {0}, and this host calls {HANDLER}: build it for that version")]
    OtherHandler(String),
    /// What it exports as the handler is something else.
    #[error("it exports {HANDLER}, but not as this interface is defined: {0}")]
    WrongHandler(String),
    /// It imports what this host does not provide.
    #[error("it imports what is not provided: {}", list(.0))]
    Imports(Vec<Missing>),
    /// It can be linked only with something else than what this host provides.
    #[error("it does not fit this host: {0}")]
    Unlinkable(String),
    /// The operating system has nothing to keep what its memory begins with: descriptors are mostly what
    /// there are too few of.
    #[error("what its memory begins with cannot be kept: {0}")]
    NoImage(String),
    /// It needs more than the host was made with.
    #[error("it needs more than it may have: {0}")]
    TooLarge(String),
    /// It is compiled code, which is loaded by [`Service::from_precompiled`](crate::Service::from_precompiled)
    /// and [`Service::from_precompiled_file`](crate::Service::from_precompiled_file) only, and not compiled
    /// again.
    #[error(
        "it is compiled already; compiled code runs unchecked, and is served with --allow-precompiled only"
    )]
    Precompiled,
    /// It is compiled code, and others can change it: how.
    #[error(
        "it is compiled code, which runs unchecked, and {0}: it has to be this user's or root's, and nobody \
         else may write to it (chmod go-w)"
    )]
    NotPrivate(&'static str),
    /// It is compiled code, where a component is wanted.
    #[error("it is compiled code: name the component that it was compiled from")]
    PrecompiledProgram,
    /// It is a core module that was compiled.
    #[error("it is compiled, but a core module, and no component: use `evconn compile`")]
    PrecompiledModule,
    /// It was compiled by another version, or for another processor or other settings.
    #[error("it was not compiled for this host ({reason}): {advice}")]
    Incompatible {
        /// What differs.
        reason: String,
        /// What to do.
        advice: &'static str,
    },
}

/// The most exports that are listed.
const LISTED: usize = 10;

fn exported(exports: &[String]) -> String {
    match exports.split_at_checked(LISTED) {
        _ if exports.is_empty() => "it exports nothing".to_owned(),
        Some((first, more)) if !more.is_empty() => {
            format!("it exports {} and {} more", first.join(", "), more.len())
        }
        _ => format!("it exports {}", exports.join(", ")),
    }
}

fn no_listener(exports: &[String]) -> String {
    let instead = match exports
        .iter()
        .any(|name| name.starts_with("evconn:tcp/handler@"))
    {
        true => ": it is a service, and `evconn serve` has the listener for it",
        false => "",
    };
    format!("it does not import {LISTENER}, so that there is no place to put one in{instead}")
}

fn no_command(exports: &[String]) -> String {
    let instead = match exports
        .iter()
        .any(|name| name.starts_with("evconn:tcp/handler@"))
    {
        true => ": that is a service, for `evconn serve`",
        false => "",
    };
    format!(
        "it exports no wasi:cli/run@0.2, as a command does; {}{instead}",
        exported(exports)
    )
}

fn no_handler(exports: &[String]) -> String {
    let has = |name: &str| exports.iter().any(|export| export.starts_with(name));
    let instead = if has("wasi:cli/run@") {
        ": that is a command, for `evconn run`"
    } else if has("wasi:http/incoming-handler@") || has("wasi:http/handler@") {
        ": that is an HTTP service, for `wasmtime serve`"
    } else {
        ""
    };
    format!(
        "it exports no {HANDLER}, as the world {WORLD} does; {}{instead}",
        exported(exports)
    )
}

fn list(missing: &[Missing]) -> String {
    let names: Vec<String> = missing.iter().map(Missing::to_string).collect();
    names.join("; ")
}

/// An error and its causes, as one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    lines.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(exports: &[&str]) -> String {
        LoadProblem::NoHandler(exports.iter().map(|&name| name.to_owned()).collect()).to_string()
    }

    #[test]
    fn what_it_exports_instead_says_what_it_is() {
        assert!(shown(&[]).ends_with("it exports nothing"));
        assert!(shown(&["greet"]).ends_with("it exports greet"));
        assert!(
            shown(&["greet", "wasi:cli/run@0.2.3"])
                .contains("greet, wasi:cli/run@0.2.3: that is a command")
        );
        assert!(shown(&["wasi:http/incoming-handler@0.2.0"]).contains("`wasmtime serve`"));
        assert!(shown(&["x"; LISTED]).ends_with("x, x"));
        assert!(shown(&["x"; LISTED + 2]).ends_with("x and 2 more"));
    }
}
