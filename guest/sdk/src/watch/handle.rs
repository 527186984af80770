use super::subscription::Lane;
use crate::base::{Core, EventBase, Patience, nanoseconds};
use crate::callback::Callback;
use crate::slab::Key;
use crate::{Connection, Direction};
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;

/// Calls a closure as often as a connection can be read from, or written to: libevent's `event` with
/// `EV_READ`, `EV_WRITE` and `EV_PERSIST`. [`EventBase::watch`] makes one.
///
/// It is a cheap handle; its clones are one watch. It ends when its last handle is dropped, unless it
/// is [detached](Self::detach); when it is [removed](Self::remove); and when the connection or the event
/// base goes. Its closure is dropped then.
///
/// The closure is called in each turn of the loop in which the connection is ready: as long as it does
/// not read what is there, it is called again. That a connection is ready is a hint, and reading or
/// writing may fail with [`WouldBlock`](std::io::ErrorKind::WouldBlock) all the same. **The output is
/// nearly always ready**: watch it while there is something to write, and [disable](Self::disable)
/// it once there is not, or the loop never waits.
///
/// # Cost
/// About 200 bytes, two allocations, and a subscription for each direction, once. Enabling and disabling
/// take no call of the host.
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
///         let its = Rc::clone(&connection);
///         let echo = move |watch: &Watch, _: Ready| {
///             let mut bytes = [0; 4096];
///             let answered = match (&*its).read(&mut bytes) {
///                 Ok(count) if count > 0 => (&*its).write_all(&bytes[..count]),
///                 Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(()),
///                 _ => return watch.remove(),
///             };
///             if answered.is_err() {
///                 // Among them the peer that does not read: a buffer would wait for it.
///                 watch.remove();
///             }
///         };
///         // It lasts until it is removed. Then its closure goes, and with it the connection.
///         listener.base().watch(&connection, Direction::Read, echo).detach();
///     })
///     .bind(&base, ([127, 0, 0, 1], 9876))?;
/// base.dispatch();
/// # Ok::<(), std::io::Error>(())
/// ```
#[derive(Clone)]
pub struct Watch(pub(super) Rc<Inner>);

/// What a [`Watch`] tells its closure.
///
/// ```
/// # use evconn_guest::Ready;
/// fn is_late(what: Ready) -> bool {
///     what == Ready::TimedOut
/// }
/// # assert!(is_late(Ready::TimedOut));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// There is something to read: bytes, the end, or an error.
    Read,
    /// More can be written, or writing has failed.
    Write,
    /// Nothing of that has happened for as long as [`Watch::set_timeout`] has it.
    TimedOut,
}

type OnReady = dyn FnMut(&Watch, Ready);

/// What the handles share.
pub struct Inner {
    pub(super) this: Weak<Inner>,
    pub(super) core: Weak<Core>,
    /// Among what the base owns, if it is detached.
    pub(super) kept: Cell<Option<Key>>,
    pub(super) enabled: Cell<bool>,
    pub(super) reads: Lane,
    pub(super) writes: Lane,
    /// The output was ready, and nobody has written since.
    pub(super) was_writable: Cell<bool>,
    pub(super) patience: Patience,
    /// None once it has ended.
    pub(super) callback: Callback<OnReady>,
}

impl EventBase {
    /// Call `function` whenever `connection` can be read from, or written to: `event_new` and
    /// `event_add`. It is called once for each direction that is ready.
    ///
    /// The connection is to be non-blocking, as one from a listener is. To own it in the closure, share
    /// it in an [`Rc`]: a `&Connection` can read and write.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase, Ready};
    /// # fn f(base: EventBase, connection: Connection) {
    /// let watch = base.watch(&connection, Direction::Both, |_, what| match what {
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
        function: impl FnMut(&Watch, Ready) + 'static,
    ) -> Watch {
        let (input, output) = connection.subscribe(direction);
        let inner = Rc::new_cyclic(|this| Inner {
            this: this.clone(),
            core: Rc::downgrade(&self.0),
            kept: Cell::new(None),
            enabled: Cell::new(false),
            reads: Lane::new(input),
            writes: Lane::new(output),
            was_writable: Cell::new(false),
            patience: Patience::default(),
            callback: Callback::default(),
        });
        inner.callback.set(Some(Rc::new(RefCell::new(function))));
        connection.watches().add(&inner.this);
        let watch = Watch(inner);
        watch.enable();
        watch
    }
}

impl Watch {
    /// Watch, from now on: `event_add`. Idempotent, and without effect on one that has ended. A new
    /// watch is enabled.
    ///
    /// ```no_run
    /// # fn f(watch: evconn_guest::Watch) {
    /// watch.enable();
    /// # }
    /// ```
    pub fn enable(&self) {
        if let Some(core) = self.0.core.upgrade()
            && !self.has_ended()
        {
            self.0.start(&core);
        }
    }

    /// Watch no more until [`enable`](Self::enable): `event_del`. Idempotent. While it is disabled it
    /// is nothing that the loop waits for. In its own closure, it makes it an event without `EV_PERSIST`.
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
        if let Some(core) = self.0.core.upgrade() {
            self.0.stop(&core);
        }
    }

    /// Whether it watches: `event_pending`.
    ///
    /// ```no_run
    /// # fn f(watch: evconn_guest::Watch) {
    /// watch.disable();
    /// assert!(!watch.is_enabled());
    /// # }
    /// ```
    pub fn is_enabled(&self) -> bool {
        self.0.enabled.get()
    }

    /// How long nothing may happen while it is enabled: the timeout of `event_add`. None: for ever, the
    /// default. Then the closure is told [`Ready::TimedOut`], and the time begins anew.
    ///
    /// ```no_run
    /// # use evconn_guest::{Connection, Direction, EventBase, Ready, Watch};
    /// # use std::time::Duration;
    /// # fn f(base: EventBase, connection: Connection) {
    /// let watch = base.watch(&connection, Direction::Read, |watch: &Watch, what| {
    ///     if what == Ready::TimedOut {
    ///         watch.remove();
    ///     }
    /// });
    /// watch.set_timeout(Some(Duration::from_secs(60)));
    /// # }
    /// ```
    pub fn set_timeout(&self, time: Option<Duration>) {
        if let Some(core) = self.0.core.upgrade()
            && !self.has_ended()
        {
            self.0.patience.set_timeout(&core, time.map(nanoseconds));
            self.0.await_time(&core);
        }
    }

    /// Leave it to the event base: it lasts until it is [removed](Self::remove) or its connection goes,
    /// whether or not somebody has a handle.
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
        if let Some(core) = self.0.core.upgrade()
            && !self.has_ended()
            && self.0.kept.get().is_none()
        {
            let kept = core.keep(Rc::<Inner>::clone(&self.0));
            self.0.kept.set(Some(kept));
        }
    }

    /// End it, whoever else has a handle: `event_free`. Its closure is called no more, and dropped; if
    /// it runs, once it has returned. Idempotent.
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

    /// Whether it was removed, or its connection is gone.
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
        !self.0.callback.is_set()
    }

    /// Its event base: `event_get_base`. None if that is gone.
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
        self.0.core.upgrade().map(EventBase)
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

/// Those that watch one connection.
#[derive(Default)]
pub struct Watches(RefCell<Vec<Weak<Inner>>>);

impl Watches {
    fn add(&self, watch: &Weak<Inner>) {
        let mut watches = self.0.borrow_mut();
        watches.retain(|watch| watch.strong_count() > 0);
        watches.push(watch.clone());
    }

    /// The connection goes: their pollables are children of its streams.
    pub fn end(&self) {
        for watch in self.0.take() {
            if let Some(watch) = watch.upgrade() {
                watch.end();
            }
        }
    }

    /// The connection was written to, and has taken something or nothing.
    pub fn written(&self, something: bool) {
        for watch in self.0.borrow().iter().filter_map(Weak::upgrade) {
            watch.written(something);
        }
    }
}
