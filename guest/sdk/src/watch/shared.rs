//! The state of a watch, and what it does when the loop calls it.

use super::subscription::Subscription;
use crate::base::{Core, IdleTimeout, Interest, Source};
use crate::callback::Callback;
use crate::connection::Watcher;
use crate::remains::Remains;
use crate::slab::Key;
use std::cell::{Cell, RefCell};
use std::rc::{Rc, Weak};
use wasi::io::poll::Pollable;

/// The argument of a [`Watch`](crate::Watch)'s closure: why it is called.
///
/// ```
/// # use evconn_guest::Ready;
/// fn is_late(ready: Ready) -> bool {
///     ready == Ready::TimedOut
/// }
/// # assert!(is_late(Ready::TimedOut));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ready {
    /// There is something to read: bytes, the end of the stream, or an error.
    Read,
    /// More bytes can be written, or writing has failed.
    Write,
    /// Neither has happened for the time that [`Watch::set_timeout`](crate::Watch::set_timeout) has set.
    TimedOut,
}

pub type OnReady = dyn FnMut(&Rc<WatchShared>, Ready);

/// The state that the handles of a watch share.
pub struct WatchShared {
    this: Weak<Self>,
    core: Weak<Core>,
    /// Its key in the event base that owns it, if it is detached.
    owned: Cell<Option<Key>>,
    enabled: Cell<bool>,
    input: Subscription,
    output: Subscription,
    /// The output was ready, and nobody has written since.
    was_writable: Cell<bool>,
    timeout: IdleTimeout,
    /// None once it has ended.
    callback: Callback<OnReady>,
}

impl WatchShared {
    pub fn new(
        core: &Rc<Core>,
        (input, output): (Option<Pollable>, Option<Pollable>),
        callback: impl FnMut(&Rc<Self>, Ready) + 'static,
    ) -> Rc<Self> {
        let watch = Rc::new_cyclic(|this| Self {
            this: this.clone(),
            core: Rc::downgrade(core),
            owned: Cell::new(None),
            enabled: Cell::new(false),
            input: Subscription::new(input),
            output: Subscription::new(output),
            was_writable: Cell::new(false),
            timeout: IdleTimeout::default(),
            callback: Callback::default(),
        });
        watch.callback.set(Some(Rc::new(RefCell::new(callback))));
        watch
    }

    /// Returns the event base, unless it is gone.
    pub fn core(&self) -> Option<Rc<Core>> {
        self.core.upgrade()
    }

    /// Returns the event base, unless it is gone or the watch has ended.
    fn live_core(&self) -> Option<Rc<Core>> {
        self.core().filter(|_| !self.has_ended())
    }

    pub fn is_enabled(&self) -> bool {
        self.enabled.get()
    }

    pub fn has_ended(&self) -> bool {
        !self.callback.is_set()
    }

    fn source(&self) -> Weak<dyn Source> {
        self.this.clone()
    }

    pub fn enable(&self) {
        if let Some(core) = self.live_core() {
            self.enabled.set(true);
            self.input.register(&core, self.source(), Interest::Input);
            self.output.register(&core, self.source(), Interest::Output);
            self.activate_timeout(&core);
        }
    }

    pub fn disable(&self, core: &Core) {
        self.enabled.set(false);
        self.input.deregister(core);
        self.output.deregister(core);
        self.timeout.stop(core);
    }

    pub fn set_timeout(&self, nanoseconds: Option<u64>) {
        if let Some(core) = self.live_core() {
            self.timeout.set_timeout(&core, nanoseconds);
            self.activate_timeout(&core);
        }
    }

    fn activate_timeout(&self, core: &Core) {
        let enabled = self.enabled.get();
        let source = self.source();
        self.timeout
            .set_active(enabled, core, &source, Interest::InputTimeout);
    }

    /// Has the event base own it until it ends.
    pub fn detach(self: Rc<Self>) {
        if let Some(core) = self.live_core()
            && self.owned.get().is_none()
        {
            let owned = core.own(Rc::<Self>::clone(&self));
            self.owned.set(Some(owned));
        }
    }
}

impl Watcher for WatchShared {
    /// The pollables are dropped before the closure, which may own the streams.
    fn end(&self) {
        self.enabled.set(false);
        // A base that is gone has dropped its pollables.
        let core = self.core();
        if let Some(core) = &core {
            self.disable(core);
        }
        self.input.close();
        self.output.close();
        self.callback.set(None);
        if let (Some(core), Some(owned)) = (core, self.owned.take()) {
            core.release(owned);
        }
    }

    fn written(&self, accepted: bool) {
        if self.was_writable.take()
            && !accepted
            && let (Some(core), Some(output)) = (self.core(), self.output.key())
        {
            core.report_starved(output);
        }
    }
}

impl Source for WatchShared {
    fn ready(self: Rc<Self>, core: &Rc<Core>, interest: Interest) {
        let ready = match interest {
            Interest::Input => Ready::Read,
            Interest::Output => Ready::Write,
            Interest::InputTimeout | Interest::OutputTimeout => Ready::TimedOut,
        };
        if ready == Ready::TimedOut && !self.timeout.has_expired(core) {
            return self.activate_timeout(core);
        }
        self.timeout.restart(core);
        self.was_writable.set(ready == Ready::Write);
        if let Some(callback) = self.callback.get() {
            (callback.borrow_mut())(&self, ready);
        }
        self.activate_timeout(core);
    }

    /// It is never scheduled: only calls on its handle change what it waits for.
    fn prepare(self: Rc<Self>, _: &Rc<Core>) {}

    fn abandon(self: Rc<Self>, _: &Core) -> Option<Remains> {
        self.owned.set(None);
        self.end();
        None
    }
}

impl Drop for WatchShared {
    fn drop(&mut self) {
        self.end();
    }
}
