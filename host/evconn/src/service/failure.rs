//! Why a service was not done with a connection, in one line for the log.

use crate::GuestTrap;
use crate::limits::Exceeded;
use crate::trap::SourceLines;
use std::time::Duration;
use wasmtime::component::ResourceTableError;

/// Why a connection ended before its service was done with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The handler returned an error. It is the guest's text: escaped, and cut.
    #[error("the service gave up: \"{}\"", escaped(.0))]
    Handler(String),
    /// It has exited with a status that is not 0.
    #[error("the service exited with status {0}")]
    Exited(i32),
    /// It has computed for as long as it may.
    #[error(
        "its service has computed for more than {limit:?}: raise the limit with --cpu-timeout (in the \
         library, Limits::cpu_timeout)"
    )]
    CpuTimeout { limit: Duration, trap: GuestTrap },
    /// It has asked for more handles than it may have.
    #[error(
        "its service has more than {limit} handles: drop those that are not needed, or raise the limit \
         with --max-handles (in the library, Limits::max_handles)"
    )]
    TooManyHandles { limit: usize, trap: GuestTrap },
    /// A trap, or no instance could be made.
    #[error("{trap}{}", after(.refused))]
    Trap {
        trap: GuestTrap,
        refused: Option<Exceeded>,
    },
}

impl Failure {
    /// It happened in a component whose source has these lines.
    pub fn within(mut self, lines: &SourceLines) -> Self {
        if let Self::CpuTimeout { trap, .. }
        | Self::TooManyHandles { trap, .. }
        | Self::Trap { trap, .. } = &mut self
        {
            trap.set_lines(lines);
        }
        self
    }

    /// What ended the instance. None: the handler returned.
    pub fn trap(&self) -> Option<&GuestTrap> {
        match self {
            Self::Handler(_) | Self::Exited(_) => None,
            Self::CpuTimeout { trap, .. }
            | Self::TooManyHandles { trap, .. }
            | Self::Trap { trap, .. } => Some(trap),
        }
    }
}

/// The trap of a guest that may compute no more.
#[derive(Debug, thiserror::Error)]
#[error("the guest has computed for too long")]
pub(super) struct OutOfTime;

/// The most bytes of a guest's text that are shown.
const SHOWN: usize = 1 << 10;

/// A guest's text, so that it is one line, and not a long one.
fn escaped(text: &str) -> String {
    match text.get(..text.floor_char_boundary(SHOWN)) {
        Some(start) if start.len() < text.len() => format!("{}…", start.escape_debug()),
        _ => text.escape_debug().to_string(),
    }
}

fn after(refused: &Option<Exceeded>) -> String {
    refused.map_or_else(String::new, |refused| format!(", after {refused}"))
}

/// Whether a trap is due to a full table of handles.
pub(crate) fn is_for_handles(error: &wasmtime::Error) -> bool {
    matches!(
        error.downcast_ref::<ResourceTableError>(),
        Some(ResourceTableError::Full)
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_guests_text_is_one_short_line() {
        let text = "it\nwas \u{1b}[31m\"ü\"".to_owned();
        let shown = Failure::Handler(text).to_string();
        assert_eq!(shown, r#"the service gave up: "it\nwas \u{1b}[31m\"ü\"""#);
        let long = Failure::Handler("ü".repeat(10_000)).to_string();
        assert!(long.len() < SHOWN + 50, "{} bytes", long.len());
        assert!(long.ends_with("ü…\""));
    }
}
