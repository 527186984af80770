//! One timer of a program, and its handle.

use super::timers::{Task, TimerKey, nanoseconds};
use super::{Core, EventBase};
use crate::callback::Callback;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;
use wasi::clocks::monotonic_clock;

/// A handle to what [`EventBase::timer`] or [`EventBase::interval`] has set up: libevent's
/// `event` with `evtimer_add` and `evtimer_del`.
///
/// The event base owns the timer. Dropping the handle changes nothing; [`cancel`](Self::cancel) does.
///
/// ```no_run
/// use evconn_guest::EventBase;
/// use std::time::Duration;
///
/// let base = EventBase::new();
/// let late = base.timer(Duration::from_secs(5), |base| base.loop_break());
/// base.timer(Duration::from_secs(1), move |_| late.cancel());
/// base.dispatch();
/// ```
#[derive(Clone)]
pub struct Timer(pub(super) Rc<Alarm>);

/// What a timer is.
pub struct Alarm {
    base: Weak<Core>,
    /// Of its entry among the timers, if it has one now.
    key: Cell<Option<TimerKey>>,
    period: Option<Duration>,
    /// Gone once it is cancelled.
    function: Callback<dyn FnMut(&EventBase)>,
}

impl Timer {
    /// Call nothing any more. Its closure is dropped. It has no effect if the timer is over.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// let timer = base.timer(std::time::Duration::from_secs(5), |_| unreachable!());
    /// timer.cancel();
    /// ```
    pub fn cancel(&self) {
        if let Some(key) = self.0.key.take()
            && let Some(base) = self.0.base.upgrade()
        {
            let removed = base.timers.borrow_mut().remove(key);
            drop(removed);
        }
        self.0.function.set(None);
    }

    /// Whether its closure will be called, if the loop goes on for long enough.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// let timer = base.timer(std::time::Duration::from_secs(5), |_| {});
    /// assert!(timer.is_pending());
    /// ```
    pub fn is_pending(&self) -> bool {
        // In its own closure, an interval is about to be wound up again.
        let rings_again = self.0.period.is_some() && self.0.function.is_set();
        self.0.base.strong_count() > 0 && (self.0.key.get().is_some() || rings_again)
    }
}

impl Alarm {
    pub(super) fn start(
        base: &EventBase,
        after: Duration,
        period: Option<Duration>,
        function: impl FnMut(&EventBase) + 'static,
    ) -> Rc<Self> {
        let alarm = Rc::new(Self {
            base: Rc::downgrade(&base.0),
            key: Cell::new(None),
            period,
            function: Callback::default(),
        });
        alarm.function.set(Some(Rc::new(RefCell::new(function))));
        alarm.wind(base, after);
        alarm
    }

    fn wind(self: &Rc<Self>, base: &EventBase, after: Duration) {
        let at = monotonic_clock::now().saturating_add(nanoseconds(after));
        let task = Task::Alarm(Rc::clone(self));
        self.key.set(Some(base.0.timers.borrow_mut().add(at, task)));
    }

    /// Its time has come.
    pub(super) fn ring(self: Rc<Self>, base: &EventBase) {
        self.key.set(None);
        if let Some(function) = self.function.get() {
            (function.borrow_mut())(base);
        }
        match self.period {
            Some(period) if self.function.is_set() => self.wind(base, period),
            _ => self.function.set(None),
        }
    }
}
