//! A guest's trap: what it is due to, where it happened, and what whoever wrote the guest can do about it.

mod backtrace;
mod lines;

use backtrace::Backtrace;
pub(crate) use lines::Lines;
use std::fmt;
use wasmtime::component::ResourceTableError;
use wasmtime::{Trap, WasmBacktrace};

/// Why a guest trapped, in one line, with the remedy where there is one; where it did is its
/// [`backtrace`](Self::backtrace).
#[derive(Debug)]
pub struct GuestTrap {
    error: wasmtime::Error,
    lines: Lines,
}

impl GuestTrap {
    pub(crate) fn new(error: wasmtime::Error) -> Self {
        Self {
            error,
            lines: Lines::default(),
        }
    }

    /// It happened in a component whose source has these lines.
    pub(crate) fn within(mut self, lines: &Lines) -> Self {
        self.set_lines(lines);
        self
    }

    pub(crate) fn set_lines(&mut self, lines: &Lines) {
        self.lines = lines.clone();
    }

    /// Where in the guest it happened: a line for each function that was running, the innermost first.
    /// None if there was none.
    ///
    /// A line is `0: service::parse at src/lib.rs:7:5` if the component has debug information (DWARF), and
    /// otherwise `0: service::parse at 0x1f3a`, with the offset in the component's binary. Names are
    /// escaped and cut, and there are 20 lines at most.
    pub fn backtrace(&self) -> Option<String> {
        let trace = self.error.downcast_ref::<WasmBacktrace>()?;
        Some(Backtrace::new(trace, &self.lines).to_string())
    }

    /// The error as wasmtime has it.
    pub fn error(&self) -> &wasmtime::Error {
        &self.error
    }

    /// What would be right instead, if that can be said. What the host's own functions return says it
    /// itself.
    fn remedy(&self) -> &'static str {
        if let Some(Trap::StackOverflow) = self.error.downcast_ref() {
            return ": a guest's stack has 512 KiB: recurse less deep, or limit how deep a peer's input nests";
        }
        match self.error.downcast_ref() {
            Some(ResourceTableError::HasChildren) => {
                ": drop what was made of a resource before the resource itself, pollables before their stream \
                 or socket, and streams before their socket"
            }
            _ => "",
        }
    }
}

impl fmt::Display for GuestTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // The backtrace is the outermost context.
        let backtrace = usize::from(self.error.is::<WasmBacktrace>());
        let mut separator = "";
        for cause in self.error.chain().skip(backtrace) {
            write!(f, "{separator}{cause}")?;
            separator = ": ";
        }
        f.write_str(self.remedy())
    }
}

impl std::error::Error for GuestTrap {}
