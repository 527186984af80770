//! The directions of a connection.

/// One direction of a connection, as seen from this side, or both.
///
/// ```no_run
/// # use evconn_guest::{BufferedConnection, Direction};
/// # fn f(connection: BufferedConnection) {
/// connection.enable(Direction::Both);
/// # }
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// From the peer: libevent's `EV_READ`.
    Read,
    /// To the peer: libevent's `EV_WRITE`.
    Write,
    /// Both directions.
    Both,
}
