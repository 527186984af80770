//! The handle of a watch.

use super::shared::{Ready, WatchShared};
use crate::base::{EventBase, nanoseconds};
use crate::connection::Watcher;
use crate::{Connection, Direction};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Calls a closure whenever a connection can be read from or written to: libevent's `event` with
/// `EV_READ`, `EV_WRITE` and `EV_PERSIST`. [`EventBase::watch`] makes one.
///
/// `Watch` is a cheap handle; its clones refer to one watch. The watch ends when its last handle is dropped,
/// unless it is [detached](Self::detach); when it is [removed](Self::remove); and when the connection or the
/// event base is dropped. Its closure is dropped then.
///
/// The closure is called in each iteration of the loop in which the connection is ready: it is called again
/// as long as it leaves bytes unread. Readiness is a hint: reading or writing may still fail with
/// [`WouldBlock`](std::io::ErrorKind::WouldBlock). **The output is nearly always ready**: watch it while
/// there is something to write, and [disable](Self::disable) the watch afterwards, or the loop never waits.
///
/// # Cost
/// About 200 bytes, two allocations, and one subscription for each direction. Enabling and disabling make no
/// host call.
///
/// ```no_run
/// use evconn_guest::{Direction, Listener, Ready, Watch};
/// use std::io::{ErrorKind, Read, Write};
/// use std::rc::Rc;
///
/// # let base = evconn_guest::EventBase::new();
/// let listener = Listener::builder()
///     .on_connection(|listener, connection| {
///         let connection = Rc::new(connection);
///         let shared = Rc::clone(&connection);
///         let echo = move |watch: &Watch, _: Ready| {
///             let mut bytes = [0; 4096];
///             let answered = match (&*shared).read(&mut bytes) {
///                 Ok(count) if count > 0 => (&*shared).write_all(&bytes[..count]),
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
///                 _ => return watch.remove(),
///             };
///             if answered.is_err() {
///                 // This includes a peer that does not read. A buffer would wait for it.
///                 watch.remove();
///             }
///         };
///         // Removing the watch drops the closure, and with it the connection.
///         listener.base().watch(&connection, Direction::Read, echo).detach();
///     })
///     .bind(&base, ([127, 0, 0, 1], 9876))?;
/// base.dispatch();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Watch(Rc<WatchShared>);

impl EventBase {
    /// Calls `function` whenever `connection` can be read from or written to: `event_new` and
    /// `event_add`. It is called once for each direction that is ready.
    ///
    /// The connection should be non-blocking, as those from a listener are by default. To own it in the
    /// closure, share it in an [`Rc`]: a `&Connection` can read and write.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase, Ready};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let watch = base.watch(&connection, Direction::Both, |_, ready| match ready {
    ///     Ready::Read => println!("it can be read from"),
    ///     Ready::Write => println!("it can be written to"),
    ///     Ready::TimedOut => unreachable!("no timeout is set"),
    /// });
    /// base.run_once();
    /// # }
    /// ```
    pub fn watch(
        &self,
        connection: &Connection,
        direction: Direction,
        mut function: impl FnMut(&Watch, Ready) + 'static,
    ) -> Watch {
        let callback = move |shared: &Rc<WatchShared>, ready| {
            function(&Watch(Rc::clone(shared)), ready);
        };
        let shared = WatchShared::new(&self.0, connection.subscribe(direction), callback);
        let watcher: Weak<WatchShared> = Rc::downgrade(&shared);
        connection.watches().add(watcher);
        shared.enable();
        Watch(shared)
    }
}

impl Watch {
    /// Enables the watch: `event_add`. Idempotent; has no effect on a watch that has ended. A new watch is
    /// enabled.
    ///
    /// ```no_run
    /// # fn f(watch: evconn_guest::Watch) {
    /// watch.enable();
    /// # }
    /// ```
    pub fn enable(&self) {
        self.0.enable();
    }

    /// Disables the watch until [`enable`](Self::enable): `event_del`. Idempotent. The loop does not wait for
    /// a disabled watch. A closure that disables its own watch is called once, like an event without
    /// `EV_PERSIST`.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase, Ready, Watch};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let once = |watch: &Watch, _: Ready| watch.disable();
    /// let watch = base.watch(&connection, Direction::Read, once);
    /// base.dispatch();
    /// # }
    /// ```
    pub fn disable(&self) {
        if let Some(core) = self.0.core() {
            self.0.disable(&core);
        }
    }

    /// Returns whether the watch is enabled: `event_pending`.
    ///
    /// ```no_run
    /// # fn f(watch: evconn_guest::Watch) {
    /// watch.disable();
    /// assert!(!watch.is_enabled());
    /// # }
    /// ```
    pub fn is_enabled(&self) -> bool {
        self.0.is_enabled()
    }

    /// Sets how long the watch may be enabled without the connection being ready: the timeout of
    /// `event_add`. None: no limit, the default. After this time the closure is called with
    /// [`Ready::TimedOut`], and the time begins anew.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase, Ready, Watch};
    /// # use std::time::Duration;
    /// # fn f(base: EventBase, connection: Connection) {
    /// let watch = base.watch(&connection, Direction::Read, |watch: &Watch, ready| {
    ///     if ready == Ready::TimedOut {
    ///         watch.remove();
    ///     }
    /// });
    /// watch.set_timeout(Some(Duration::from_secs(60)));
    /// # }
    /// ```
    pub fn set_timeout(&self, time: Option<Duration>) {
        self.0.set_timeout(time.map(nanoseconds));
    }

    /// Gives the watch to the event base: it lasts until it is [removed](Self::remove) or its connection is
    /// dropped, whether or not a handle is left.
    ///
    /// A closure that owns its connection keeps it open for as long.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase, Watch};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let gone = |watch: &Watch, _| watch.remove();
    /// base.watch(&connection, Direction::Read, gone).detach();
    /// # }
    /// ```
    pub fn detach(self) {
        self.0.detach();
    }

    /// Ends the watch, whoever else has a handle: `event_free`. Its closure is not called any more, and is
    /// dropped; if it is running, after it has returned. Idempotent.
    ///
    /// ```no_run
    /// # fn f(watch: evconn_guest::Watch) {
    /// watch.remove();
    /// assert!(watch.has_ended());
    /// # }
    /// ```
    pub fn remove(&self) {
        self.0.end();
    }

    /// Returns whether the watch was removed, or its connection was dropped.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let watch = base.watch(&connection, Direction::Read, |_, _| {});
    /// drop(connection);
    /// assert!(watch.has_ended());
    /// # }
    /// ```
    pub fn has_ended(&self) -> bool {
        self.0.has_ended()
    }

    /// Returns the event base: `event_get_base`. None if it was dropped.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase, Watch};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let leave = |watch: &Watch, _| {
    ///     if let Some(base) = watch.base() {
    ///         base.loop_break();
    ///     }
    /// };
    /// let watch = base.watch(&connection, Direction::Read, leave);
    /// base.dispatch();
    /// # }
    /// ```
    pub fn base(&self) -> Option<EventBase> {
        self.0.core().map(EventBase)
    }
}

impl std::fmt::Debug for Watch {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watch")
            .field("is_enabled", &self.is_enabled())
            .field("has_ended", &self.has_ended())
            .finish()
    }
}
