//! Timers of the program.

use super::core::{Alarm, Core, Task};
use super::event_base::EventBase;
use super::timers::{TimerKey, nanoseconds};
use crate::callback::Callback;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use std::time::Duration;
use wasi::clocks::monotonic_clock;

/// A handle to a timer that [`EventBase::timer`] or [`EventBase::interval`] has set: libevent's `event`
/// with `evtimer_add` and `evtimer_del`.
///
/// The event base owns the timer. Dropping the handle has no effect on it; [`cancel`](Self::cancel)
/// ends it.
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
pub struct Timer(Rc<TimerShared>);

/// The state that the handles of a timer share.
struct TimerShared {
    core: Weak<Core>,
    /// Its key among the timers of the base, while it is set.
    key: Cell<Option<TimerKey>>,
    period: Option<Duration>,
    /// None once it is cancelled.
    function: Callback<dyn FnMut(&EventBase)>,
}

impl EventBase {
    /// Calls `function` once, after `after`.
    ///
    /// # Cost
    /// All timers of a base share one pollable. Setting or cancelling a timer takes time that grows with
    /// the logarithm of their number.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// base.timer(Duration::from_millis(250), |_| println!("now"));
    /// base.dispatch();
    /// ```
    pub fn timer(&self, after: Duration, function: impl FnOnce(&Self) + 'static) -> Timer {
        let mut function = Some(function);
        let once = move |base: &Self| {
            if let Some(function) = function.take() {
                function(base);
            }
        };
        Timer(TimerShared::start(&self.0, after, None, once))
    }

    /// Calls `function` repeatedly, each time `period` after the last call has returned: libevent's
    /// `EV_PERSIST`. With a period of zero, it is called in each iteration of the loop.
    ///
    /// ```no_run
    /// # use std::time::Duration;
    /// let base = evconn_guest::EventBase::new();
    /// let ticks = base.interval(Duration::from_secs(1), |_| println!("tick"));
    /// base.timer(Duration::from_secs(10), move |_| ticks.cancel());
    /// base.dispatch();
    /// ```
    pub fn interval(&self, period: Duration, function: impl FnMut(&Self) + 'static) -> Timer {
        Timer(TimerShared::start(&self.0, period, Some(period), function))
    }
}

impl Timer {
    /// Cancels the timer, and drops its closure. Has no effect on a timer that has ended.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// let timer = base.timer(std::time::Duration::from_secs(5), |_| unreachable!());
    /// timer.cancel();
    /// ```
    pub fn cancel(&self) {
        if let Some(key) = self.0.key.take()
            && let Some(core) = self.0.core.upgrade()
        {
            core.remove_timer(key);
        }
        self.0.function.set(None);
    }

    /// Returns whether the closure will be called, provided that the loop runs for long enough.
    ///
    /// ```no_run
    /// # let base = evconn_guest::EventBase::new();
    /// let timer = base.timer(std::time::Duration::from_secs(5), |_| {});
    /// assert!(timer.is_pending());
    /// ```
    pub fn is_pending(&self) -> bool {
        // While its closure runs, an interval has no key, but is about to be set again.
        let rings_again = self.0.period.is_some() && self.0.function.is_set();
        self.0.core.strong_count() > 0 && (self.0.key.get().is_some() || rings_again)
    }
}

impl TimerShared {
    fn start(
        core: &Rc<Core>,
        after: Duration,
        period: Option<Duration>,
        function: impl FnMut(&EventBase) + 'static,
    ) -> Rc<Self> {
        let timer = Rc::new(Self {
            core: Rc::downgrade(core),
            key: Cell::new(None),
            period,
            function: Callback::default(),
        });
        timer.function.set(Some(Rc::new(RefCell::new(function))));
        timer.set(core, after);
        timer
    }

    fn set(self: &Rc<Self>, core: &Core, after: Duration) {
        let at = monotonic_clock::now().saturating_add(nanoseconds(after));
        let task = Task::Alarm(Rc::<Self>::clone(self));
        self.key.set(Some(core.timers.borrow_mut().add(at, task)));
    }
}

impl Alarm for TimerShared {
    fn ring(self: Rc<Self>, core: &Rc<Core>) {
        self.key.set(None);
        if let Some(function) = self.function.get() {
            (function.borrow_mut())(&EventBase(Rc::clone(core)));
        }
        match self.period {
            Some(period) if self.function.is_set() => self.set(core, period),
            _ => self.function.set(None),
        }
    }
}
