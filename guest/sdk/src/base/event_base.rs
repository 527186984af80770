//! The handle of an event base.

use super::core::{Core, Task};
use super::dispatch::Ended;
use super::timers::nanoseconds;
use std::rc::Rc;
use std::time::Duration;
use wasi::clocks::monotonic_clock;

/// An event loop, and the set of things that it waits for: libevent's `event_base`.
///
/// `EventBase` is a cheap handle; its clones refer to one base. A program needs one base, but may have
/// several, one after the other. The base owns its timers and [`BufferedConnection`](crate::BufferedConnection)s.
/// A [`Listener`](crate::Listener) belongs to the holder of its handle, and so does a
/// [`Watch`](crate::Watch) that is not detached.
///
/// Dropping the last handle closes the connections that are left. It waits for up to 20 ms; output that the
/// kernel has not accepted by then is lost.
///
/// # Cost
/// Each iteration of the loop makes one call of `wasi:io/poll`, which takes the host time for each registered
/// pollable, ready or not. The base keeps its pollables from one iteration to the next, so that an idle
/// connection causes no other host call, and no allocation.
///
/// ```no_run
/// use evconn_guest::EventBase;
/// use std::time::Duration;
///
/// let base = EventBase::new();
/// base.timer(Duration::from_secs(1), |_| println!("one second later"));
/// base.dispatch();
/// ```
#[derive(Clone)]
pub struct EventBase(pub(crate) Rc<Core>);

impl Default for EventBase {
    fn default() -> Self {
        Self::new()
    }
}

impl EventBase {
    /// Makes a base with nothing to wait for.
    ///
    /// ```no_run
    /// let base = evconn_guest::EventBase::new();
    /// assert_eq!(base.dispatch(), evconn_guest::Ended::NothingLeft);
    /// ```
    pub fn new() -> Self {
        Self(Rc::default())
    }

    /// Waits and calls callbacks until nothing is left to wait for, or until a call ends the loop:
    /// `event_base_dispatch`.
    ///
    /// Something is left as long as a listener accepts or backs off, a connection reads, writes,
    /// connects, is watched or is being closed, or a timer is pending.
    ///
    /// ```no_run
    /// use evconn_guest::{Ended, EventBase};
    ///
    /// let base = EventBase::new();
    /// base.timer(std::time::Duration::ZERO, |base| base.loop_break());
    /// assert_eq!(base.dispatch(), Ended::Break);
    /// ```
    pub fn dispatch(&self) -> Ended {
        self.0.dispatch()
    }

    /// Waits until something is ready, calls the callbacks of everything that is ready, and returns:
    /// `event_base_loop` with `EVLOOP_ONCE`. Returns None if something may be left to do.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// # let mut work_is_left = || false;
    /// while base.run_once().is_none() && work_is_left() {}
    /// ```
    pub fn run_once(&self) -> Option<Ended> {
        self.0.dispatch_once(true)
    }

    /// Like [`run_once`](Self::run_once), but does not wait: `EVLOOP_NONBLOCK`.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// # let compute = || {};
    /// while base.run_ready().is_none() {
    ///     compute();
    /// }
    /// ```
    pub fn run_ready(&self) -> Option<Ended> {
        self.0.dispatch_once(false)
    }

    /// Ends the loop after this time, once the callbacks of everything that is ready then have run:
    /// `event_base_loopexit`. With a time of zero, the loop ends with the current iteration.
    ///
    /// Until then the exit counts as something to wait for. If no loop is running, it applies to the next
    /// [`dispatch`](Self::dispatch).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// base.loop_exit(Duration::from_secs(2));
    /// base.dispatch();
    /// ```
    pub fn loop_exit(&self, after: Duration) {
        if after.is_zero() {
            self.0.exits.set(true);
        } else {
            let at = monotonic_clock::now().saturating_add(nanoseconds(after));
            self.0.timers.borrow_mut().add(at, Task::Exit);
        }
    }

    /// Ends the loop as soon as the running callback returns: `event_base_loopbreak`. Everything else that
    /// is ready is found again by the next [`dispatch`](Self::dispatch). Has no effect if no loop is
    /// running.
    ///
    /// ```no_run
    /// # use evconn_guest::EventBase;
    /// let base = EventBase::new();
    /// base.interval(std::time::Duration::from_secs(1), |base| base.loop_break());
    /// base.dispatch();
    /// ```
    pub fn loop_break(&self) {
        self.0.breaks.set(true);
    }

    /// Returns the number of closed connections whose last bytes the kernel has not accepted yet. The base
    /// keeps them until it has: see [`set_max_closing`](Self::set_max_closing).
    ///
    /// ```no_run
    /// assert_eq!(evconn_guest::EventBase::new().closing(), 0);
    /// ```
    pub fn closing(&self) -> usize {
        self.0.closing.count()
    }

    /// Sets the maximum number of connections that are being closed. While there are `count` of them, the
    /// listeners of this base accept no more. At least 1. Default: 1,024.
    ///
    /// A connection whose peer does not read cannot be closed without either waiting or losing bytes, and
    /// on some hosts it cannot be closed at all: wasmtime waits when an output stream with unsent bytes is
    /// dropped, and the whole instance waits with it. So the base keeps the connection, with the bytes
    /// that are left, until the kernel has accepted them, the peer is gone, or the peer has
    /// [read nothing for the linger time](Self::set_linger).
    ///
    /// ```no_run
    /// let base = evconn_guest::EventBase::new();
    /// base.set_max_closing(100);
    /// ```
    pub fn set_max_closing(&self, count: usize) {
        self.0.set_max_closing(count.max(1));
    }

    /// Sets the linger time of connections that are closed from now on. None: no limit. Default: 10
    /// seconds.
    ///
    /// The base gives up a connection that is being closed when its peer has accepted no bytes for this
    /// time, or goes on sending for this time after everything was sent to it. The bytes that are left are
    /// dropped. A slow peer receives everything, as long as it reads.
    ///
    /// Giving up never waits. The host has already taken some of the bytes, and decides what happens to
    /// them:
    /// - `evconn` releases the connection at once. It sends the bytes in the background, and resets the
    ///   connection if that takes 10 more seconds.
    /// - The `wasmtime` command keeps the connection until the kernel has accepted its last write of up to
    ///   64 KiB, or the peer is gone. No call ends this earlier without blocking the whole program, so
    ///   the connection continues to count towards [`set_max_closing`](Self::set_max_closing).
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// base.set_linger(Some(Duration::from_secs(60)));
    /// ```
    pub fn set_linger(&self, time: Option<Duration>) {
        self.0.closing.set_linger(time);
    }
}
