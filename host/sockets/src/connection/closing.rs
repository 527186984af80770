//! How a connection ends: who decides it, what is still sent, and whether its peer sees a regular end (FIN) or
//! a reset (RST).
//!
//! A connection ends with its sending direction, when that is closed and everything that was written is
//! sent. Where its end is [held](Endpoint::hold_end), closing leaves open which end it is, until
//! [`finish`](Endpoint::finish) or [`abort`](Endpoint::abort) decides it, unless that is
//! [left to its guest](Endpoint::leave_end_to_guest).

use super::endpoint::Endpoint;
use super::link::LINGER;
use std::time::Duration;
use tokio::time::{sleep, timeout};

/// How often to ask whether the peer has acknowledged what was sent, which no event reports: at first, and
/// later.
const FIRST_PAUSE: Duration = Duration::from_millis(1);
const LAST_PAUSE: Duration = Duration::from_millis(50);

impl Endpoint {
    /// Sends no more than what was written, and then tells the peer so.
    pub fn end_sending(&self) {
        self.link.end_sending();
    }

    /// The output stream was dropped by its guest.
    pub(crate) fn output_dropped(&self) {
        match self.decision.is_of_host() {
            true => self.link.close_sending(),
            false => self.link.end_sending(),
        }
    }

    /// The socket was dropped by its guest, after its streams.
    pub(crate) fn socket_dropped(&self) {
        if self.decision.make_by_guest() {
            self.end_regularly();
        } else if !self.decision.is_of_host() {
            self.link.release();
        }
    }

    /// From here on, dropping its streams and its socket does not decide how it ends:
    /// [`finish`](Self::finish) ends it regularly; anything else is a reset, including the end of this process.
    pub fn hold_end(&self) {
        self.decision.give_to_host();
        self.plain().reset_on_close();
    }

    /// From here on, a guest ends a connection whose end is [held](Self::hold_end): dropping the output stream
    /// ends the stream to the peer, and dropping the socket is a regular end. If it does not drop the socket,
    /// the end remains held.
    pub fn leave_end_to_guest(&self) {
        self.decision.give_to_guest();
    }

    /// From here on, what a guest drops decides nothing again.
    pub fn take_end_from_guest(&self) {
        self.decision.take_from_guest();
    }

    /// Returns whether a guest has accepted the connection, so that its end was [left to
    /// it](Self::leave_end_to_guest).
    pub fn was_accepted_by_guest(&self) -> bool {
        self.decision.has_guest()
    }

    /// Returns whether the guest has dropped a connection whose end was [left to
    /// it](Self::leave_end_to_guest).
    pub fn was_closed_by_guest(&self) -> bool {
        self.decision.is_closed()
    }

    /// Returns whether the end of the connection is the host's to decide, or was decided by its guest.
    pub(crate) fn is_for_others(&self) -> bool {
        self.decision.is_of_host() || self.decision.is_closed()
    }

    /// Ends it regularly: sends what was written, for up to 10 seconds, and then the end.
    pub async fn finish(&self) {
        if !self.was_closed_by_guest() {
            self.decision.make_by_host();
            self.end_regularly();
        }
        self.link.is_sent().await;
    }

    fn end_regularly(&self) {
        self.link.end_on_close();
        self.link.end_sending();
        self.link.release();
    }

    /// Ends it with a reset, once the peer has acknowledged what was written, or after 10 seconds. (A Unix
    /// socket has no resets, and its peer keeps what was sent.)
    pub async fn abort(&self) {
        self.link.close_sending();
        let sent = async {
            self.link.is_sent().await;
            self.is_acknowledged().await;
        };
        // If the time is over, it is reset all the same.
        let _ = timeout(LINGER, sent).await;
        self.reset();
    }

    async fn is_acknowledged(&self) {
        let mut pause = FIRST_PAUSE;
        while self.plain().has_unacknowledged() {
            sleep(pause).await;
            pause = (2 * pause).min(LAST_PAUSE);
        }
    }

    /// Drops what is unsent. As soon as the connection is dropped, its peer sees a reset.
    pub fn reset(&self) {
        self.link.reset();
    }
}
