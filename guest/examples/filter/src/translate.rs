//! Converts the types of the imported interface to the equal types of the exported interface.

use crate::bindings::evconn::tcp::listener as inner;
use crate::bindings::exports::evconn::tcp::listener as outer;

impl From<inner::Event> for outer::Event {
    fn from(event: inner::Event) -> Self {
        match event {
            inner::Event::Connection(event) => Self::Connection(outer::ConnectionEvent {
                callback: event.callback,
                connection: event.connection,
            }),
            inner::Event::Error(event) => Self::Error(outer::ErrorEvent {
                callback: event.callback,
                code: event.code,
                recovery: match event.recovery {
                    inner::Recovery::Retrying(time) => outer::Recovery::Retrying(time),
                    inner::Recovery::Stopped => outer::Recovery::Stopped,
                },
            }),
        }
    }
}

impl From<inner::State> for outer::State {
    fn from(state: inner::State) -> Self {
        match state {
            inner::State::Accepting => Self::Accepting,
            inner::State::Disabled => Self::Disabled,
            inner::State::Paused => Self::Paused,
            inner::State::BackingOff(left) => Self::BackingOff(left),
            inner::State::Stopped(code) => Self::Stopped(code),
        }
    }
}

impl From<inner::Stats> for outer::Stats {
    fn from(stats: inner::Stats) -> Self {
        Self {
            accepted: stats.accepted,
            aborted: stats.aborted,
            peer_errors: stats.peer_errors,
            resource_errors: stats.resource_errors,
            fatal_errors: stats.fatal_errors,
            backoff_steps: stats.backoff_steps,
            retries: stats.retries,
            held: stats.held,
            timed_out: stats.timed_out,
        }
    }
}
