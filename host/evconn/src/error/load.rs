//! The errors of loading and composing components, for those who write or build them.

use crate::interfaces::{
    ASYNC_HANDLER, ASYNC_LISTENER, ASYNC_RUN, EntryPoint, HANDLER, LISTENER, Missing, WORLD,
};
use std::fmt;
use std::io;
use std::path::{Path, PathBuf};

/// Why a component cannot be loaded or composed, in one line.
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

    /// Returns the file, if the component was to be loaded from one.
    pub fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// Returns the problem.
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

// Its text is complete: a source would repeat it.
impl std::error::Error for LoadError {}

/// What is wrong with a component, or with a file that is not one.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum LoadProblem {
    /// The file does not exist.
    #[error("there is no such file")]
    Missing,
    /// The path is that of a directory.
    #[error("it is a directory, and no file")]
    Directory,
    /// The file cannot be read for another reason.
    #[error("it cannot be read: {0}")]
    Unreadable(io::Error),
    /// The file is larger than any component: it may be a device without an end.
    #[error("it has more than 1 GiB: that is no component")]
    TooLong,
    /// The file is empty.
    #[error("it is empty")]
    Empty,
    /// The file is neither a component nor its text.
    #[error("it is neither a component, nor the text of one{}", if *.is_elf {
        ", nor code that evconn compiled (or not all of it)"
    } else {
        ""
    })]
    NotWebAssembly {
        /// It is an ELF file, as compiled code is.
        is_elf: bool,
    },
    /// The file is of another kind: an executable, or an archive.
    #[error("it is {kind}, and no component: {advice}")]
    OtherKind {
        /// What it is.
        kind: &'static str,
        /// What to do.
        advice: &'static str,
    },
    /// The WebAssembly text has a syntax error: the position and the error.
    #[error("its WebAssembly text is wrong: {0}")]
    Text(String),
    /// The component is valid, but uses features of WebAssembly that this host does not support: their
    /// names.
    #[error("it uses what this host does not support: {}", .0.join(", "))]
    Unsupported(Vec<&'static str>),
    /// The component uses async functions, streams or futures, and is neither a handler nor a program of WASI 0.3. Its
    /// exports.
    #[error("{}", only_async(.0))]
    Async(Vec<String>),
    /// Compiling the component would take more time and memory than its size suggests: why.
    #[error("it is too complex: {0}")]
    TooComplex(String),
    /// The engine for components of its version of WASI cannot be created: why.
    #[error("the engine for it cannot be created: {0}")]
    NoEngine(String),
    /// The component is cut off or invalid: what is wrong.
    #[error("it is not valid WebAssembly, or not all of it: {0}")]
    Invalid(String),
    /// The file is a core module.
    #[error(
        "it is a core module, and no component: build it for wasm32-wasip2, or make a component of it \
         with `wasm-tools component new`"
    )]
    CoreModule,
    /// The component exports neither the handler nor `wasi:cli/run`. Its exports.
    #[error("{}", no_handler(.0))]
    NoHandler(Vec<String>),
    /// The component exports `wasi:cli/run`, and imports nothing with which it could accept a connection.
    #[error(
        "it is a program that cannot listen, since it imports neither wasi:sockets/tcp@0.2, nor wasi:sockets/types@0.3, nor \
         a version of evconn:tcp/listener: it is not a server, and runs with `evconn run`"
    )]
    NeverListens,
    /// The component does not have the entry point that was chosen.
    #[error("it does not export {}; {}", entry_point.interface(), exported(exports))]
    NoEntryPoint {
        /// The entry point.
        entry_point: EntryPoint,
        /// What it exports.
        exports: Vec<String>,
    },
    /// The component does not export `wasi:cli/run`. Its exports.
    #[error("{}", no_command(.0))]
    NoCommand(Vec<String>),
    /// The component does not import the listener, so there is nothing to compose. Its exports.
    #[error("{}", no_listener(.0))]
    NoListener(Vec<String>),
    /// The component was composed already.
    #[error("it has been composed already: the listener is in it")]
    Composed,
    /// The component imports or exports the listener of another version of evconn: the listener's name.
    #[error(
        "its listener is {}, and this host composes {LISTENER} and {ASYNC_LISTENER}: build it for one of these versions",
        shortened(.0)
    )]
    OtherListener(String),
    /// The component imports the listener of several versions.
    #[error(
        "it imports the listener of several versions: build it for one version of WASI, with {LISTENER} or {ASYNC_LISTENER}"
    )]
    SeveralListeners,
    /// The component imports the listener of the first version, and what provides it, or the component itself, exports
    /// that of the second one.
    #[error("it imports {0}, and is to be composed with {1}: build both for one version of WASI")]
    MixedListeners(&'static str, &'static str),
    /// The component's listener has other types than this interface.
    #[error(
        "it has {0}, but not as this interface is defined: build it with what `evconn wit` prints"
    )]
    WrongListener(&'static str),
    /// The component exports a listener, but has to import it.
    #[error(
        "it exports a listener: to be composed with one it has to import it, as the worlds evconn:tcp/command@0.1.0 and @0.3.0 do"
    )]
    ExportsListener,
    /// The component does not export a listener, but was to be put between the listener and an
    /// application.
    #[error(
        "it exports no listener: a component between the listener and an application has to import {LISTENER} or {ASYNC_LISTENER}, and to export it, too"
    )]
    NoMiddleware,
    /// The components cannot be linked: why.
    #[error("it cannot be composed: {0}")]
    NotComposed(String),
    /// The component was to be put in front of a service, and is no filter: why.
    #[error(
        "it is no filter: {0}; a filter imports the handler of what is behind it, and exports one of the same version, \
         {ASYNC_HANDLER} or {HANDLER}"
    )]
    NoFilter(String),
    /// The component is behind a filter that calls a handler of another version than it exports.
    #[error(
        "it exports {exported}, and the filter in front of it calls {called}: a filter serves components of its own \
         version only"
    )]
    OtherVersionThanFilter {
        /// What it exports.
        exported: &'static str,
        /// What the filter in front of it imports.
        called: &'static str,
    },
    /// The component has the handler that the filter in front of it imports, but with other types.
    #[error("its handler has other types than the one that the filter in front of it calls")]
    WrongFilter,
    /// The component was to be put behind a filter, and is a program.
    #[error(
        "it is a program, which accepts its connections by itself: filters (--through) require a component that exports \
         a handler"
    )]
    FilteredProgram,
    /// The component exports the handler of another version of evconn: the handler's name.
    #[error(
        "it exports {}, and this host calls {HANDLER} and {ASYNC_HANDLER}: build it for one of these",
        shortened(.0)
    )]
    OtherHandler(String),
    /// The component's handler has another type than this interface: the interface, and the difference.
    #[error("it exports {0}, but not as this interface is defined: {1}")]
    WrongHandler(&'static str, String),
    /// The component imports something that this host does not provide.
    #[error("it imports what is not provided: {}", list(.0))]
    Imports(Vec<Missing>),
    /// The component cannot be linked to this host's interfaces: why.
    #[error("it does not fit this host: {0}")]
    Unlinkable(String),
    /// The operating system cannot keep an image of the component's initial memory, usually for want of
    /// descriptors.
    #[error("cannot keep an image of its initial memory: {0}")]
    NoImage(String),
    /// The component exceeds the limits for which the host was built: which, and by how much.
    #[error("it needs more than it may have: {0}")]
    TooLarge(String),
    /// The file is compiled code, which is loaded only by
    /// [`Service::from_precompiled`](crate::Service::from_precompiled) and
    /// [`Service::from_precompiled_file`](crate::Service::from_precompiled_file), and cannot be compiled
    /// again.
    #[error(
        "it is compiled already; compiled code runs unchecked, and is served with --allow-precompiled only"
    )]
    Precompiled,
    /// The file is compiled code that others can change: how.
    #[error(
        "it is compiled code, which runs unchecked, and {0}: it has to be this user's or root's, and nobody \
         else may write to it (chmod go-w)"
    )]
    NotPrivate(&'static str),
    /// The file is compiled code, but a component is required.
    #[error("it is compiled code: name the component that it was compiled from")]
    PrecompiledProgram,
    /// The file is a compiled core module.
    #[error("it is compiled, but a core module, and no component: use `evconn compile`")]
    PrecompiledModule,
    /// The code was compiled by another version, or for another processor or other settings.
    #[error("it was not compiled for this host ({reason}): {advice}")]
    Incompatible {
        /// The difference.
        reason: String,
        /// The remedy.
        advice: &'static str,
    },
}

/// The most names that are listed.
const LISTED: usize = 10;

/// The most characters of a text that may have come from a component, such as a name, in a message.
const SHOWN: usize = 500;

/// Returns a text that may have come from a component as one short line.
pub(crate) fn shortened(text: &str) -> String {
    let mut short = String::new();
    let mut rest = text.trim().chars();
    for c in rest.by_ref().take(SHOWN) {
        match c {
            '\n' | '\t' => short.push(' '),
            c if c.is_control() => short.extend(c.escape_default()),
            c => short.push(c),
        }
    }
    if rest.next().is_some() {
        short.push('…');
    }
    short
}

fn exported(exports: &[String]) -> String {
    match exports.split_at_checked(LISTED) {
        _ if exports.is_empty() => "it exports nothing".to_owned(),
        Some((first, more)) if !more.is_empty() => {
            format!("it exports {} and {} more", names(first), more.len())
        }
        _ => format!("it exports {}", names(exports)),
    }
}

fn names(all: &[String]) -> String {
    let all: Vec<_> = all.iter().map(|name| shortened(name)).collect();
    all.join(", ")
}

fn no_listener(exports: &[String]) -> String {
    let instead = match exports
        .iter()
        .any(|name| name.starts_with("evconn:tcp/handler@"))
    {
        true => ": it is a service, and `evconn serve` has the listener for it",
        false => "",
    };
    format!(
        "it imports neither {LISTENER} nor {ASYNC_LISTENER}, so there is nothing to compose{instead}"
    )
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
        "it exports no wasi:cli/run of WASI 0.2 or 0.3, as a command does; {}{instead}",
        exported(exports)
    )
}

fn no_handler(exports: &[String]) -> String {
    format!(
        "it exports neither {HANDLER}, as the world {WORLD} does, nor {ASYNC_HANDLER}, nor wasi:cli/run of version 0.2 or 0.3, as a \
         program does; {}{}",
        exported(exports),
        instead(exports).unwrap_or_default()
    )
}

fn only_async(exports: &[String]) -> String {
    let advice = match instead(exports) {
        Some(instead) => format!("; {}{instead}", exported(exports)),
        None => ": export one of these, or build it for WASI 0.2".to_owned(),
    };
    format!(
        "it was built for WASI 0.3 (async functions, streams and futures); of these, this host runs components that \
         export {ASYNC_HANDLER} or {ASYNC_RUN}{advice}"
    )
}

/// Returns what a component with these exports is, if it is not for this host to serve.
fn instead(exports: &[String]) -> Option<&'static str> {
    let has = |name: &str| exports.iter().any(|export| export.starts_with(name));
    if has("wasi:cli/run@") {
        Some(": that is a program of another version of WASI, and this host has 0.2 and 0.3")
    } else if has("wasi:http/incoming-handler@") || has("wasi:http/handler@") {
        Some(": that is an HTTP service, for `wasmtime serve`")
    } else if has("evconn:tcp/listener@") {
        Some(": that is the listener; serve a program that imports it")
    } else {
        None
    }
}

fn list(missing: &[Missing]) -> String {
    let (first, more) = missing.split_at_checked(LISTED).unwrap_or((missing, &[]));
    let first: Vec<_> = first
        .iter()
        .map(|name| shortened(&name.to_string()))
        .collect();
    match more.len() {
        0 => first.join("; "),
        more => format!("{} and {more} more", first.join("; ")),
    }
}

/// Formats an error and its causes as one line.
pub(crate) fn one_line(error: &wasmtime::Error) -> String {
    let text = format!("{error:#}");
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|line| !line.is_empty())
        .collect();
    shortened(&lines.join(" "))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(exports: &[&str]) -> String {
        LoadProblem::NoHandler(exports.iter().map(|&name| name.to_owned()).collect()).to_string()
    }

    #[test]
    fn a_text_of_a_component_is_one_short_line_that_no_terminal_obeys() {
        assert_eq!(shortened(" a\nb\u{1b}[31m\u{9b}"), r"a b\u{1b}[31m\u{9b}");
        let long = shortened(&"ü".repeat(100_000));
        assert_eq!(long.chars().count(), SHOWN + 1);
        assert!(long.ends_with("ü…"));
    }

    #[test]
    fn what_a_component_of_wasi_0_3_is_instead_is_said() {
        let shown = |export: &str| LoadProblem::Async(vec![export.to_owned()]).to_string();
        assert!(shown("wasi:http/handler@0.3.0").contains("`wasmtime serve`"));
        assert!(shown("evconn:tcp/listener@0.3.0").contains("that is the listener"));
        assert!(shown("greet").ends_with("or build it for WASI 0.2"));
    }

    #[test]
    fn what_it_exports_instead_says_what_it_is() {
        assert!(shown(&[]).ends_with("it exports nothing"));
        assert!(shown(&["greet"]).ends_with("it exports greet"));
        assert!(
            shown(&["greet", "wasi:cli/run@0.4.0"])
                .contains("greet, wasi:cli/run@0.4.0: that is a program of another version")
        );
        assert!(shown(&["wasi:http/incoming-handler@0.2.0"]).contains("`wasmtime serve`"));
        assert!(shown(&["evconn:tcp/listener@0.1.0"]).ends_with("serve a program that imports it"));
        let long = "x".repeat(100_000);
        assert!(shown(&[long.as_str(); 100]).len() < 10_000);
        assert!(shown(&["x"; LISTED]).ends_with("x, x"));
        assert!(shown(&["x"; LISTED + 2]).ends_with("x and 2 more"));
    }
}
