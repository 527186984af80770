//! A guest's trap: what it is due to, where it happened, and what whoever wrote the guest can do about it.

mod backtrace;
mod lines;

use backtrace::Backtrace;
pub(crate) use lines::SourceLines;
use std::fmt;
use wasmtime::component::ResourceTableError;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};

/// As often is a function on the stack in a recursion that has run out of it, of the frames that are kept.
const MANY_CALLS: usize = 5;

/// Why a guest trapped, in one line, with the remedy where there is one; where it did is its
/// [`backtrace`](Self::backtrace).
#[derive(Debug)]
pub struct GuestTrap {
    error: wasmtime::Error,
    lines: SourceLines,
    /// What it is due to, where wasmtime does not know.
    limit: Option<String>,
}

impl GuestTrap {
    pub(crate) fn new(error: wasmtime::Error) -> Self {
        Self {
            error,
            lines: SourceLines::default(),
            limit: None,
        }
    }

    /// It happened in a component whose source has these lines.
    pub(crate) fn within(mut self, lines: &SourceLines) -> Self {
        self.set_lines(lines);
        self
    }

    /// It is due to this limit, if it is to one.
    pub(crate) fn due_to(mut self, limit: Option<String>) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn set_lines(&mut self, lines: &SourceLines) {
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
        match (self.error.downcast_ref(), self.error.downcast_ref()) {
            (Some(Trap::StackOverflow), _) => {
                ": a guest's stack has 512 KiB: recurse less deep, or limit how deep a peer's input nests"
            }
            (Some(Trap::MemoryOutOfBounds), _) if self.recurses() => {
                ": a function is many times on the stack, which may have run out of its memory: recurse less \
                 deep, or link the component with a larger stack"
            }
            (_, Some(ResourceTableError::HasChildren)) => {
                ": drop what was made of a resource before the resource itself, pollables before their stream \
                 or socket, and streams before their socket"
            }
            _ => "",
        }
    }

    /// Whether some function has called itself, directly or not, and more than a few times.
    fn recurses(&self) -> bool {
        let trace: Option<&WasmBacktrace> = self.error.downcast_ref();
        let frames = trace.map_or(&[][..], WasmBacktrace::frames);
        let calls = |of: &FrameInfo| {
            let same = frames
                .iter()
                .filter(|frame| frame.func_index() == of.func_index());
            same.count()
        };
        frames.iter().any(|frame| calls(frame) >= MANY_CALLS)
    }
}

impl fmt::Display for GuestTrap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(limit) = &self.limit {
            return f.write_str(limit);
        }
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
