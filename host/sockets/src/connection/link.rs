//! What a connection consists of below its owners: it outlives them for as long as a task sends the rest of
//! what they wrote.

use super::buffers;
use super::sending::Sending;
use crate::pace::Direction;
use crate::policy::{Account, Charge, Counted};
use crate::transport::Transport;
use futures_util::task::AtomicWaker;
use std::future::poll_fn;
use std::ops::{Deref, DerefMut};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, TryLockError};
use std::task::{Poll, ready};
use std::time::Duration;
use tokio::sync::Notify;
use tokio::time::{sleep, timeout};

/// How long a connection that its owners have dropped goes on sending. What is unsent then is dropped, and the
/// peer reset.
pub const LINGER: Duration = Duration::from_secs(10);

/// How much of what a peer has sent, and nobody has read, is read when its connection ends: closing
/// with unread bytes would be a reset, which may cost the peer the last bytes of its answer.
const DISCARDED: usize = 256 << 10;
const DISCARDED_AT_ONCE: usize = 16 << 10;

#[derive(Debug)]
pub struct Link {
    pub transport: Transport,
    sending: Mutex<Sending>,
    /// What the guest's account is charged for as long as the socket is open: its descriptor, and the buffer
    /// of a TLS session.
    charges: Mutex<[Option<Charge>; 2]>,
    /// Woken when nothing is sent in the background any more: who waits to write.
    pub writer: AtomicWaker,
    /// The peer has ended its side, or nobody wants to hear more of it.
    pub received_all: AtomicBool,
    /// Nobody wants to hear more of it, although the peer may go on.
    pub is_unwanted: AtomicBool,
    is_reset: AtomicBool,
    /// Nobody can write any more.
    is_released: AtomicBool,
    /// Notified when one of the two above changes, and when nothing is sent in the background any more.
    changed: Notify,
}

impl Link {
    pub fn new(transport: Transport) -> Self {
        Self {
            transport,
            sending: Mutex::default(),
            charges: Mutex::default(),
            writer: AtomicWaker::new(),
            received_all: AtomicBool::new(false),
            is_unwanted: AtomicBool::new(false),
            is_reset: AtomicBool::new(false),
            is_released: AtomicBool::new(false),
            changed: Notify::new(),
        }
    }

    /// Charges the socket and what is not sent to this account; the descriptor is `charged` already, or is charged
    /// even beyond the limit.
    pub fn charge_to(&self, account: &Account, charged: Option<Charge>) {
        let descriptor = charged.unwrap_or_else(|| account.charge_anyway(Counted::Descriptors, 1));
        let session = self.transport.session_buffer();
        let session = (session > 0).then(|| account.charge_anyway(Counted::Unsent, session));
        *self.charges.lock().unwrap_or_else(PoisonError::into_inner) = [Some(descriptor), session];
        self.sending().charge_to(account);
    }

    /// The sending direction, for this thread alone.
    pub fn sending(&self) -> SendingGuard<'_> {
        // Nothing in there panics halfway.
        let guard = self.sending.lock().unwrap_or_else(PoisonError::into_inner);
        SendingGuard {
            guard,
            _after: AfterSending(self),
        }
    }

    /// Drops what is unsent, unless another thread is sending: that one does it then.
    fn give_up(&self) {
        match self.sending.try_lock() {
            Ok(mut sending) => sending.give_up(),
            Err(TryLockError::Poisoned(sending)) => sending.into_inner().give_up(),
            Err(TryLockError::WouldBlock) => {}
        }
    }

    /// Sends no more than what was written, and then tells the peer so.
    pub fn end_sending(self: &Arc<Self>) {
        self.sending().end(&self.transport);
        self.send_in_background();
    }

    /// Sends no more than what was written. Whether the peer is told so is left open.
    pub fn close_sending(self: &Arc<Self>) {
        self.sending().close(&self.transport);
        self.send_in_background();
    }

    /// Starts a task that sends the rest, if there is one: its writer may have other things to do than to wait
    /// until the kernel takes it.
    pub fn send_in_background(self: &Arc<Self>) {
        if !self.sending().begin_background() {
            return;
        }
        match tokio::runtime::Handle::try_current() {
            Ok(runtime) => drop(runtime.spawn(Arc::clone(self).send_rest())),
            // A store may be dropped after its runtime: then nothing can send the rest.
            Err(_) => {
                self.reset();
                self.sending().end_background(Ok(()));
                self.writer.wake();
            }
        }
    }

    async fn send_rest(self: Arc<Self>) {
        tokio::select! {
            () = poll_fn(|cx| {
                let mut sending = self.sending();
                let result = ready!(sending.poll_push(&self.transport, cx));
                sending.end_background(result);
                Poll::Ready(())
            }) => {}
            () = self.until(|| self.is_reset.load(Ordering::Relaxed)) => {
                self.sending().end_background(Ok(()));
            }
            () = self.has_lingered() => {
                tracing::debug!("connection reset: what was written to it could not be sent");
                self.reset();
                self.sending().end_background(Ok(()));
            }
        }
        self.writer.wake();
        self.changed.notify_waiters();
    }

    async fn has_lingered(&self) {
        self.until(|| self.is_released.load(Ordering::Relaxed))
            .await;
        self.linger().await;
    }

    /// Waits for [`LINGER`]. The time in which a rate delays what is sent does not count.
    pub async fn linger(&self) {
        let delayed = || {
            let pace = self.transport.pace();
            pace.map_or(Duration::ZERO, |pace| pace.waited(Direction::Sending))
        };
        let mut left = LINGER;
        while !left.is_zero() {
            let before = delayed();
            sleep(left).await;
            left = left.min(delayed().saturating_sub(before));
        }
    }

    /// Waits until nothing is sent in the background.
    pub async fn background_ended(&self) {
        self.until(|| !self.sending().is_in_background()).await;
    }

    /// Waits until the kernel has all that was written, for up to [`LINGER`] where a TLS session holds some
    /// of it.
    pub async fn is_sent(&self) {
        self.background_ended().await;
        if self.transport.is_encrypted() {
            let flushed = poll_fn(|cx| self.transport.poll_flush(cx));
            if timeout(LINGER, flushed).await.is_err() {
                self.reset();
            }
        }
    }

    /// Its owners have dropped it: sends the rest, if there is one. Closing the socket is the end then.
    pub fn finish(self: &Arc<Self>) {
        if !self.sending().is_idle() {
            self.end_sending();
        }
        self.release();
    }

    /// Nobody can write any more: [`LINGER`] begins.
    pub fn release(&self) {
        self.is_released.store(true, Ordering::Relaxed);
        self.changed.notify_waiters();
    }

    /// Drops what is unsent, and has closing the socket be a reset.
    ///
    /// It waits for no other thread: one with a low priority may be sending, and not get on with it for long.
    pub fn reset(&self) {
        if !self.is_reset.swap(true, Ordering::SeqCst) {
            self.transport.reset_on_close();
            self.give_up();
            self.changed.notify_waiters();
        }
    }

    /// Has closing the socket be a regular end, unless it was reset.
    pub fn end_on_close(&self) {
        if !self.is_reset.load(Ordering::Relaxed) {
            self.transport.plain().end_on_close();
        }
    }

    /// Waits until this holds, which is looked at when somebody [releases](Self::release) or [resets](Self::reset) it,
    /// or nothing is sent in the background any more.
    pub async fn until(&self, condition: impl Fn() -> bool) {
        while !condition() {
            let changed = self.changed.notified();
            // It may have changed in between.
            if condition() {
                return;
            }
            changed.await;
        }
    }

    /// Reads what the peer has sent and nobody has read.
    fn discard_input(&self) {
        let plain = self.transport.plain();
        for _ in 0..DISCARDED / DISCARDED_AT_ONCE {
            let discarded = buffers::fill(DISCARDED_AT_ONCE, |buffer| plain.recv_now(buffer));
            let is_all = !matches!(&discarded, Ok(bytes) if bytes.len() == DISCARDED_AT_ONCE);
            discarded.map(buffers::keep).ok();
            if is_all {
                return;
            }
        }
    }
}

/// The sending direction of a connection, which one thread uses at a time.
pub struct SendingGuard<'a> {
    // Dropped in this order.
    guard: MutexGuard<'a, Sending>,
    _after: AfterSending<'a>,
}

impl Deref for SendingGuard<'_> {
    type Target = Sending;

    fn deref(&self) -> &Sending {
        &self.guard
    }
}

impl DerefMut for SendingGuard<'_> {
    fn deref_mut(&mut self) -> &mut Sending {
        &mut self.guard
    }
}

/// What is done after the lock is released.
struct AfterSending<'a>(&'a Link);

impl Drop for AfterSending<'_> {
    fn drop(&mut self) {
        // A reset in the meantime has not waited for the lock.
        if self.0.is_reset.load(Ordering::SeqCst) {
            self.0.give_up();
        }
    }
}

impl Drop for Link {
    fn drop(&mut self) {
        // The task that was to send the rest is gone with its runtime.
        if !self.sending().push_unseen(&self.transport) {
            self.reset();
        }
        let may_have_input = *self.is_unwanted.get_mut() || !*self.received_all.get_mut();
        if !*self.is_reset.get_mut() && may_have_input {
            self.discard_input();
        }
    }
}
