//! Conversions of the state machine's types to those of the WIT interface.

use crate::bindings::evconn::tcp::connection::Connection;
use crate::bindings::exports::evconn::tcp::listener as wit;
use evconn_listener_state::{Callback, ErrorReport, Recovery, State, Stats};
use wasi::sockets::network::ErrorCode;

pub fn connection(callback: Callback, connection: Connection) -> wit::Event {
    wit::Event::Connection(wit::ConnectionEvent {
        callback,
        connection,
    })
}

impl From<ErrorReport<ErrorCode>> for wit::Event {
    fn from(report: ErrorReport<ErrorCode>) -> Self {
        Self::Error(wit::ErrorEvent {
            callback: report.callback,
            code: report.code,
            recovery: match report.recovery {
                Recovery::Retrying(after) => wit::Recovery::Retrying(after),
                Recovery::Stopped => wit::Recovery::Stopped,
            },
        })
    }
}

impl From<State<ErrorCode>> for wit::State {
    fn from(state: State<ErrorCode>) -> Self {
        match state {
            State::Stopped(code) => Self::Stopped(code),
            State::Disabled => Self::Disabled,
            State::Paused => Self::Paused,
            State::BackingOff(left) => Self::BackingOff(left),
            State::Accepting => Self::Accepting,
        }
    }
}

/// Adds the number of held connections to the counters.
pub fn stats(stats: Stats, held: usize) -> wit::Stats {
    wit::Stats {
        accepted: stats.accepted,
        aborted: stats.aborted,
        peer_errors: stats.peer_errors,
        resource_errors: stats.resource_errors,
        fatal_errors: stats.fatal_errors,
        backoff_steps: stats.backoff_steps,
        retries: stats.retries,
        held: u32::try_from(held).unwrap_or(u32::MAX),
        timed_out: stats.timed_out,
    }
}
