//! What may happen to a buffered connection besides bytes.

use crate::Direction;
use std::io;

/// What the event callback is told: the `BEV_EVENT_` flags.
///
/// ```no_run
/// use evconn_guest::{BufferedConnection, Event};
///
/// # fn f(connection: BufferedConnection) {
/// connection.on_event(|connection: &BufferedConnection, event| match event {
///     Event::Connected => {}
///     Event::End => connection.close(),
///     Event::TimedOut(direction) => {
///         eprintln!("nothing moves: {direction:?}");
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
    /// What [`BufferedConnection::connect`](crate::BufferedConnection::connect) has begun is done:
    /// `BEV_EVENT_CONNECTED`.
    Connected,
    /// The peer has ended its side, and all that it has sent was read: `BEV_EVENT_EOF`. Writing
    /// goes on.
    End,
    /// Nothing has moved in this direction for as long as
    /// [`set_timeouts`](crate::BufferedConnection::set_timeouts) allows: `BEV_EVENT_TIMEOUT`. The
    /// direction is disabled. It is never `Both`.
    TimedOut(Direction),
    /// Reading, writing or connecting has failed: `BEV_EVENT_ERROR`. Both directions are disabled,
    /// and what was to be sent is discarded.
    Error(io::Error),
}
