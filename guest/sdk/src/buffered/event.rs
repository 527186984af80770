//! The events of a buffered connection.

use crate::Direction;
use std::io;

/// An event of a buffered connection: libevent's `BEV_EVENT_` flags.
///
/// ```no_run
/// use evconn_guest::{BufferedConnection, Event};
///
/// # fn f(connection: BufferedConnection) {
/// connection.on_event(|connection: &BufferedConnection, event| match event {
///     Event::Connected => {}
///     Event::End => connection.close(),
///     Event::TimedOut(direction) => {
///         eprintln!("timed out: {direction:?}");
///         connection.abort();
///     }
///     Event::Error(error) => {
///         eprintln!("{error}");
///         connection.close();
///     }
/// });
/// # }
/// ```
#[derive(Debug)]
pub enum Event {
    /// The connect that [`BufferedConnection::connect`](crate::BufferedConnection::connect) has begun is
    /// complete: `BEV_EVENT_CONNECTED`.
    Connected,
    /// The peer has ended its sending direction, and all of its bytes were read: `BEV_EVENT_EOF`. Writing
    /// is still possible.
    End,
    /// No bytes were transferred in this direction for the time that
    /// [`set_timeouts`](crate::BufferedConnection::set_timeouts) has set: `BEV_EVENT_TIMEOUT`. The
    /// direction is disabled. It is never `Both`.
    TimedOut(Direction),
    /// Reading, writing or connecting has failed: `BEV_EVENT_ERROR`. Both directions are disabled, and the
    /// output is discarded.
    Error(io::Error),
}
