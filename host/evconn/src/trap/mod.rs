//! A guest's trap: why it happened, where, and what the guest's developer can do about it.

mod backtrace;
mod lines;

use backtrace::Backtrace;
pub(crate) use lines::SourceLines;
use std::fmt;
use wasmtime::component::ResourceTableError;
use wasmtime::{FrameInfo, Trap, WasmBacktrace};

/// A function that is on the captured part of the stack this often is probably in an endless recursion.
const MANY_CALLS: usize = 5;

/// Why a guest trapped, in one line, with a remedy if one is known. [`backtrace`](Self::backtrace)
/// returns where.
#[derive(Debug)]
pub struct GuestTrap {
    error: wasmtime::Error,
    lines: SourceLines,
    /// The exceeded limit, if wasmtime does not report it.
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

    /// Adds the source lines of the component in which the trap happened.
    pub(crate) fn within(mut self, lines: &SourceLines) -> Self {
        self.set_lines(lines);
        self
    }

    /// Adds the limit that caused it.
    pub(crate) fn due_to(mut self, limit: Option<String>) -> Self {
        self.limit = limit;
        self
    }

    pub(crate) fn set_lines(&mut self, lines: &SourceLines) {
        self.lines = lines.clone();
    }

    /// Returns the guest's stack: a line for each function, the innermost first. None if no function was
    /// running.
    ///
    /// A line reads `0: service::parse at src/lib.rs:7:5` if the component has debug information (DWARF),
    /// and otherwise `0: service::parse at 0x1f3a`, with the offset in the component's binary. Names are
    /// escaped and cut off, and there are up to 20 lines.
    pub fn backtrace(&self) -> Option<String> {
        let trace = self.error.downcast_ref::<WasmBacktrace>()?;
        Some(Backtrace::new(trace, &self.lines).to_string())
    }

    /// Reads the source lines for the backtrace on another thread, unless that has been done.
    pub(crate) async fn prepare_backtrace(&self) {
        if self.error.is::<WasmBacktrace>() {
            self.lines.prepare().await;
        }
    }

    /// Returns wasmtime's error.
    pub fn error(&self) -> &wasmtime::Error {
        &self.error
    }

    /// Returns a remedy, if one is known. Errors of the host's own functions include theirs.
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

    /// Returns whether some function has called itself, directly or not, more than a few times.
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
