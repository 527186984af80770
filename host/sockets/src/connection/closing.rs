//! How a connection ends: who decides it, what is still sent, and whether its peer sees a regular end (FIN) or
//! a reset (RST).
//!
//! A connection ends with its sending direction, when that is closed and everything that was written is
//! sent. Where its end is [held](Endpoint::hold_end), closing leaves open which end it is, until
//! [`finish`](Endpoint::finish) or [`abort`](Endpoint::abort) says so.

use crate::Endpoint;
use std::future::poll_fn;
use std::mem::MaybeUninit;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::task::Poll;
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long a connection whose owner is done with it goes on sending what was written. What is unsent
/// then is dropped, and the peer reset.
const LINGER: Duration = Duration::from_secs(10);

/// How often to look whether the peer has acknowledged what was sent, which nobody tells: at first, and
/// later.
const FIRST_LOOK: Duration = Duration::from_millis(1);
const LAST_LOOK: Duration = Duration::from_millis(50);

/// How much of what a peer has sent, and nobody has read, is read when its connection ends: closing
/// with unread bytes would be a reset, which may cost the peer the last bytes of its answer.
const DISCARDED: usize = 256 << 10;

/// How far a connection's end is.
#[derive(Debug, Default)]
pub(crate) struct Closing {
    /// How it ends is not decided when its streams and its socket are dropped, but later.
    held: AtomicBool,
    reset: AtomicBool,
    /// The streams are being taken from it, to be made anew elsewhere: their end is not its end.
    moving: AtomicBool,
    /// The socket and its streams are dropped: nobody can write or read any more.
    released: AtomicBool,
    /// Notified when `released` or `reset` changes, and when nothing is sent in the background any more.
    changed: Notify,
}

impl Endpoint {
    /// Send no more, and tell the peer so when all that was written is sent: in the background, if that
    /// takes time. Once the socket is [`release`](Self::release)d, it may take no longer than
    /// [`LINGER`].
    pub fn end_sending(self: &Arc<Self>) {
        self.sending().end(&self.transport);
        self.send_in_background();
    }

    /// Send no more but what was written. Whether the peer is told so is left open.
    fn close_sending(self: &Arc<Self>) {
        self.sending().close(&self.transport);
        self.send_in_background();
    }

    /// The output stream was dropped.
    pub fn output_dropped(self: &Arc<Self>) {
        if self.closing.moving.load(Ordering::Relaxed) {
            return;
        }
        match self.closing.held.load(Ordering::Relaxed) {
            true => self.close_sending(),
            false => self.end_sending(),
        }
    }

    /// The socket was dropped, and with it the streams.
    pub fn socket_dropped(&self) {
        let is_decided = !self.closing.held.load(Ordering::Relaxed);
        if is_decided && !self.closing.moving.load(Ordering::Relaxed) {
            self.release();
        }
    }

    /// From here on, dropping its streams and its socket decides nothing: it ends regularly by
    /// [`finish`](Self::finish), and otherwise in a reset.
    pub fn hold_end(&self) {
        self.closing.held.store(true, Ordering::Relaxed);
    }

    /// End it regularly: send what was written, for up to [`LINGER`], and then the end.
    pub async fn finish(self: &Arc<Self>) {
        self.closing.held.store(false, Ordering::Relaxed);
        self.end_sending();
        self.release();
        self.is_sent().await;
    }

    /// End it in a reset, once the peer has acknowledged what was written, or after [`LINGER`]. (A Unix
    /// socket has no resets, and its peer keeps what was sent.)
    pub async fn abort(self: &Arc<Self>) {
        self.close_sending();
        let sent = async {
            self.is_sent().await;
            self.is_acknowledged().await;
        };
        // An error is that the time is over.
        let _ = timeout(LINGER, sent).await;
        self.reset();
    }

    async fn is_acknowledged(&self) {
        let mut pause = FIRST_LOOK;
        while self.plain().has_unacknowledged() {
            sleep(pause).await;
            pause = (2 * pause).min(LAST_LOOK);
        }
    }

    /// Have a rest sent by a task of its own, if there is one: its owner may have other things to do
    /// than to ask for it.
    pub fn send_in_background(self: &Arc<Self>) {
        if !self.sending().begin_background() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(Arc::clone(self).send_rest())),
            // A store may be dropped after its runtime: then nobody is there to send it.
            Err(_) => {
                self.reset();
                self.sending().end_background(Ok(()));
                self.writer.wake();
            }
        }
    }

    /// Tell the peer that no more is sent. To be called when nothing is left to be sent.
    pub fn finish_sending(&self) {
        self.sending().end(&self.transport);
    }

    async fn send_rest(self: Arc<Self>) {
        tokio::select! {
            () = poll_fn(|cx| {
                let mut sending = self.sending();
                let result = std::task::ready!(sending.poll_push(&self.transport, cx));
                sending.end_background(result);
                Poll::Ready(())
            }) => {}
            () = self.is_reset() => self.sending().end_background(Ok(())),
            () = self.has_lingered() => {
                let peer = self.peer_address();
                tracing::debug!(%peer, "reset: what was written to it could not be sent");
                self.reset();
                self.sending().end_background(Ok(()));
            }
        }
        self.writer.wake();
        self.closing.changed.notify_waiters();
    }

    /// Wait until nothing is being sent in the background.
    pub async fn is_sent(&self) {
        self.until(|| !self.sending().is_in_background()).await;
        // A TLS session may have taken more than the kernel has.
        if self.transport.is_encrypted() {
            let flushed = poll_fn(|cx| self.transport.poll_flush(cx));
            if timeout(LINGER, flushed).await.is_err() {
                self.reset();
            }
        }
    }

    /// Nobody can write any more: what is unsent has its time from here on.
    fn release(&self) {
        self.closing.released.store(true, Ordering::Relaxed);
        self.closing.changed.notify_waiters();
    }

    async fn has_lingered(&self) {
        self.until(|| self.closing.released.load(Ordering::Relaxed))
            .await;
        sleep(LINGER).await;
    }

    async fn is_reset(&self) {
        self.until(|| self.closing.reset.load(Ordering::Relaxed))
            .await;
    }

    pub(crate) async fn until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            let changed = self.closing.changed.notified();
            // It may have changed in between.
            if condition() {
                return;
            }
            changed.await;
        }
    }

    /// End it with a reset, as soon as its holders drop it: the peer is to know that it did not get
    /// all.
    pub fn reset(&self) {
        if !self.closing.reset.swap(true, Ordering::Relaxed) {
            self.transport.reset_on_close();
            self.give_up();
            self.closing.changed.notify_waiters();
        }
    }

    fn give_up(&self) {
        let mut sending = self.sending();
        if sending.is_kept() {
            // To whoever wrote it, it counts as sent.
            sending.push_unseen(&self.transport);
        }
        sending.give_up();
    }

    /// The streams will be dropped, and others made for the same connection.
    pub fn begin_move(&self) {
        self.closing.moving.store(true, Ordering::Relaxed);
    }

    pub fn end_move(&self) {
        self.closing.moving.store(false, Ordering::Relaxed);
    }

    /// Read what the peer has sent and nobody has read.
    fn discard_input(&self) {
        let mut buffer = [MaybeUninit::uninit(); 16 << 10];
        for _ in 0..DISCARDED / buffer.len() {
            match self.plain().recv_now(&mut buffer) {
                Ok(count) if count == buffer.len() => {}
                _ => return,
            }
        }
    }
}

impl Drop for Endpoint {
    fn drop(&mut self) {
        // Whoever was to send the rest is gone, with the runtime; or who was to decide how this ends.
        if !self.sending().push_unseen(&self.transport) || *self.closing.held.get_mut() {
            self.reset();
        }
        if !*self.closing.reset.get_mut() && !*self.received_all.get_mut() {
            self.discard_input();
        }
    }
}
