//! How a connection ends: who decides it, what is still sent, and whether its peer sees a regular end (FIN) or
//! a reset (RST).
//!
//! A connection ends with its sending direction, when that is closed and everything that was written is
//! sent. Where its end is [held](Endpoint::hold_end), closing leaves open which end it is, until
//! [`finish`](Endpoint::finish) or [`abort`](Endpoint::abort) decides it, unless that is
//! [left to its guest](Endpoint::leave_end_to_guest).

use super::endpoint::Endpoint;
use std::time::Duration;
use tokio::time::sleep;

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

    /// Waits until the guest has dropped a connection whose end was [left to it](Self::leave_end_to_guest).
    pub async fn closed_by_guest(&self) {
        self.link.until(|| self.decision.is_closed()).await;
    }

    /// Takes the connection away from a guest, which may be running and keeps what it has of it: its peer sees a reset,
    /// and the guest a connection that has failed.
    pub fn disconnect(&self) {
        self.decision.take_away();
        self.reset();
        self.plain().disconnect();
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

    /// Ends it regularly, without waiting: what was written is sent in the background, for up to 10 seconds.
    pub fn finish_in_background(&self) {
        self.decision.make_by_host();
        self.end_regularly();
    }

    /// Ends it with a reset, once the peer has acknowledged what was written, or after 10 seconds. (A Unix
    /// socket has no resets, and its peer keeps what was sent.)
    pub async fn abort(&self) {
        self.link.close_sending();
        let sent = async {
            self.link.is_sent().await;
            self.is_acknowledged().await;
        };
        tokio::select! {
            () = sent => {}
            // It is reset all the same.
            () = self.link.linger() => {}
        }
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::transport::Plain;
    use futures_util::FutureExt;
    use std::future::poll_fn;
    use std::io::{ErrorKind, Read};
    use std::net::TcpStream;
    use tokio::net::TcpListener;
    use tokio::time::timeout;

    /// A connection, and its peer.
    async fn connection() -> (Endpoint, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = TcpStream::connect(address).expect("connected");
        let timeout = Some(Duration::from_secs(60));
        peer.set_read_timeout(timeout).expect("set");
        let (stream, address) = listener.accept().await.expect("accepted");
        let plain = Plain::tcp(stream.into_std().expect("a socket"));
        (Endpoint::new(plain, address), peer)
    }

    #[tokio::test]
    async fn one_that_is_taken_away_is_closed_for_who_waits_for_it() {
        let (endpoint, mut peer) = connection().await;
        endpoint.register().expect("registered");
        endpoint.hold_end();
        endpoint.leave_end_to_guest();
        let mut readable = Box::pin(poll_fn(|cx| endpoint.poll_input_ready(cx)));
        assert!(readable.as_mut().now_or_never().is_none());
        endpoint.disconnect();
        let woken = timeout(Duration::from_secs(60), readable).await;
        woken.expect("the guest is told");
        let received = endpoint.try_recv(&mut [0; 8]);
        assert!(matches!(received, Ok(0) | Err(_)), "{received:?}");
        endpoint.write(b"more").expect_err("it is closed");
        endpoint.socket_dropped();
        assert!(endpoint.was_accepted_by_guest() && !endpoint.was_closed_by_guest());
        // The socket is still there.
        let end = peer.read(&mut [0; 8]);
        match cfg!(target_os = "linux") {
            true => assert_eq!(end.expect_err("a reset").kind(), ErrorKind::ConnectionReset),
            false => assert!(matches!(end, Ok(0) | Err(_))),
        }
    }

    #[tokio::test]
    async fn the_guest_s_end_is_waited_for() {
        let (endpoint, _peer) = connection().await;
        endpoint.hold_end();
        endpoint.leave_end_to_guest();
        let mut closed = Box::pin(endpoint.closed_by_guest());
        assert!(closed.as_mut().now_or_never().is_none());
        endpoint.socket_dropped();
        timeout(Duration::from_secs(60), closed)
            .await
            .expect("it has dropped it");
    }
}
