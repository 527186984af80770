//! How a connection ends: who decides it, what is still sent, and whether its peer sees a regular end (FIN) or
//! a reset (RST).
//!
//! A connection ends with its sending direction, when that is closed and everything that was written is
//! sent. Where its end is [held](Endpoint::hold_end), closing leaves open which end it is, until
//! [`finish`](Endpoint::finish) or [`abort`](Endpoint::abort) decides it.

use super::endpoint::Endpoint;
use super::link::LINGER;
use std::sync::atomic::Ordering;
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
        match self.is_held() {
            true => self.link.close_sending(),
            false => self.link.end_sending(),
        }
    }

    /// The socket was dropped by its guest, after its streams.
    pub(crate) fn socket_dropped(&self) {
        if !self.is_held() {
            self.link.release();
        }
    }

    fn is_held(&self) -> bool {
        self.is_held.load(Ordering::Relaxed)
    }

    /// From here on, dropping its streams and its socket does not decide how it ends:
    /// [`finish`](Self::finish) ends it regularly; anything else is a reset, including the end of this process.
    pub fn hold_end(&self) {
        self.is_held.store(true, Ordering::Relaxed);
        self.plain().reset_on_close();
    }

    /// Ends it regularly: sends what was written, for up to 10 seconds, and then the end.
    pub async fn finish(&self) {
        self.is_held.store(false, Ordering::Relaxed);
        self.link.end_on_close();
        self.link.end_sending();
        self.link.release();
        self.link.is_sent().await;
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
