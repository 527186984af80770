//! Why a service failed to serve a connection, in one line for the log.

use super::backoff::{Attempt, Counted};
use crate::GuestTrap;
use crate::limits::Exceeded;
use crate::trap::SourceLines;
use futures_util::FutureExt;
use std::any::Any;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::{Duration, Instant};
use wasmtime::component::ResourceTableError;

/// Why a connection ended before its service was done with it.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Failure {
    /// The handler returned an error. Its text is the guest's: it is escaped and cut off.
    #[error("the service gave up: \"{}\"", escaped(.0))]
    Handler(String),
    /// The guest exited with a status other than 0.
    #[error("the service exited with status {0}")]
    Exited(i32),
    /// The program has ended before it accepted the connection. Whether that is known from others, and for how long
    /// the program is not started.
    #[error(
        "the program has exited with status {status} before it accepted the connection, and is not started again for \
         {pause:?}: a service has to listen and to accept; what it prints says why it does not"
    )]
    NeverAccepted {
        status: i32,
        pause: Duration,
        is_known: bool,
    },
    /// The program ends before it accepts, and is not started for this time.
    #[error(
        "the program is not started for another {0:?}, since it ends before it accepts connections"
    )]
    NotStarted(Duration),
    /// No instance of the handler is made for this time, since the last one has failed at its start.
    #[error("no instance is made for another {0:?}, since the last one has failed at its start")]
    NotMade(Duration),
    /// The instance that served it together with others has failed.
    #[error("{failure}{}", with_others(*.connections))]
    Instance {
        failure: Arc<Failure>,
        connections: usize,
    },
    /// An instance was not made ahead, since there is no memory for more than those that there are.
    #[error("there is no memory for another instance")]
    NoRoom,
    /// The task of its instance has ended, with the host or because of a fault of the host.
    #[error("its instance is gone")]
    InstanceGone,
    /// The guest has used all of its computing time.
    #[error(
        "its service has computed for more than {limit:?}: raise the limit with --cpu-timeout (in the \
         library, Limits::cpu_timeout)"
    )]
    CpuTimeout { limit: Duration, trap: GuestTrap },
    /// The guest has used all of its handles.
    #[error(
        "its service has more than {limit} handles: drop those that are not needed, or raise the limit \
         with --max-handles (in the library, Limits::max_handles)"
    )]
    TooManyHandles { limit: usize, trap: GuestTrap },
    /// A function of the host panicked, with this message: the embedder's, most likely.
    #[error("the host panicked while it served it, which is a bug of the host: {0}")]
    Panicked(String),
    /// The guest trapped, or could not be instantiated.
    #[error("{trap}{}", after(.refused))]
    Trap {
        trap: GuestTrap,
        refused: Option<Exceeded>,
    },
}

impl Failure {
    /// Counts that an instance has ended before it had a connection, so that none is made for a while: of a program,
    /// before it accepted. Returns what its connection fails with.
    pub(super) fn before_accept(
        attempt: Attempt,
        result: Result<(), Self>,
        is_program: bool,
        now: Instant,
    ) -> Self {
        let counted = attempt.failed(now);
        match result {
            Ok(()) if is_program => Self::of_program(0, counted),
            Ok(()) => Self::Exited(0),
            Err(Self::Exited(status)) if is_program => Self::of_program(status, counted),
            Err(failure) => failure,
        }
    }

    /// Returns the failure of a connection for which no instance is made for this time.
    pub(super) fn of_pause(pause: Duration, is_program: bool) -> Self {
        match is_program {
            true => Self::NotStarted(pause),
            false => Self::NotMade(pause),
        }
    }

    /// Returns the failure of a program that has ended with this status before it accepted its connection.
    fn of_program(status: i32, counted: Counted) -> Self {
        Self::NeverAccepted {
            status,
            pause: counted.pause,
            is_known: !counted.is_first,
        }
    }

    /// Returns why an instance has ended that has never had a connection.
    pub(super) fn of_unused(&self) -> String {
        match self {
            Self::Instance { failure, .. } => failure.of_unused(),
            Self::NeverAccepted { status, .. } => format!(
                "the program has exited with status {status} before it waited for a connection: a service has to \
                 listen and to accept; what it prints says why it does not"
            ),
            other => other.to_string(),
        }
    }

    /// Returns the failure of a connection for which the host has panicked.
    pub fn of_panic(panic: &(dyn Any + Send)) -> Self {
        Self::Panicked(HostPanic::new(panic).0)
    }

    /// Returns whether the same was told before.
    pub fn is_known(&self) -> bool {
        match self {
            Self::NotStarted(_) | Self::NotMade(_) => true,
            Self::NeverAccepted { is_known, .. } => *is_known,
            Self::Instance { failure, .. } => failure.is_known(),
            _ => false,
        }
    }

    /// Adds the source lines of the component in which it happened.
    pub fn within(mut self, lines: &SourceLines) -> Self {
        if let Self::CpuTimeout { trap, .. }
        | Self::TooManyHandles { trap, .. }
        | Self::Trap { trap, .. } = &mut self
        {
            trap.set_lines(lines);
        }
        self
    }

    /// Returns the trap that ended the instance, if there was one.
    pub fn trap(&self) -> Option<&GuestTrap> {
        match self {
            Self::Handler(_)
            | Self::Exited(_)
            | Self::NeverAccepted { .. }
            | Self::NotStarted(_)
            | Self::NotMade(_)
            | Self::NoRoom
            | Self::InstanceGone
            | Self::Panicked(_) => None,
            Self::Instance { failure, .. } => failure.trap(),
            Self::CpuTimeout { trap, .. }
            | Self::TooManyHandles { trap, .. }
            | Self::Trap { trap, .. } => Some(trap),
        }
    }
}

/// The trap of a guest that has used all of its computing time.
#[derive(Debug, thiserror::Error)]
#[error("the guest has computed for too long")]
pub(super) struct OutOfTime;

/// A panic of the host, while it ran a guest: of an embedder's function, for example. It has this message, as one
/// short line.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the host has panicked: {0}")]
pub(super) struct HostPanic(pub String);

impl HostPanic {
    fn new(panic: &(dyn Any + Send)) -> Self {
        let text = panic.downcast_ref::<&str>().copied();
        let text = text.or_else(|| panic.downcast_ref::<String>().map(String::as_str));
        Self(escaped(text.unwrap_or("(no message)")))
    }
}

/// Makes an error of a panic, so that its instance is ended in the same way as by a trap.
pub(super) fn caught<T>(
    guest: impl Future<Output = wasmtime::Result<T>>,
) -> impl Future<Output = wasmtime::Result<T>> {
    // What the panic has left halfway is the instance's, which is not used again.
    let guest = AssertUnwindSafe(guest).catch_unwind();
    guest.map(|outcome| outcome.unwrap_or_else(|panic| Err(HostPanic::new(&*panic).into())))
}

/// The most bytes that are shown of a guest's text.
const SHOWN: usize = 1 << 10;

/// Returns a guest's text as one short line.
fn escaped(text: &str) -> String {
    match text.get(..text.floor_char_boundary(SHOWN)) {
        Some(start) if start.len() < text.len() => format!("{}…", start.escape_debug()),
        _ => text.escape_debug().to_string(),
    }
}

fn with_others(connections: usize) -> String {
    match connections {
        0 | 1 => String::new(),
        count => format!("; its instance had {count} connections"),
    }
}

fn after(refused: &Option<Exceeded>) -> String {
    refused.map_or_else(String::new, |refused| format!(", after {refused}"))
}

/// Returns whether a trap was caused by a full handle table.
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

    #[test]
    fn the_message_of_a_panic_is_one_short_line() {
        let of = |panic: Box<dyn Any + Send>| Failure::of_panic(&*panic).to_string();
        let text = of(Box::new("it\nwas"));
        assert!(text.ends_with(r"a bug of the host: it\nwas"), "{text}");
        assert!(of(Box::new("why".to_owned())).ends_with(": why"));
        assert!(of(Box::new(7)).ends_with("(no message)"));
    }
}
