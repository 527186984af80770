//! What a watch does when the loop comes by, and how it begins and ends.

use super::handle::{Inner, Ready, Watch};
use crate::base::closing::Remains;
use crate::base::source::{Interest, Source};
use crate::base::{Core, EventBase};
use std::rc::{Rc, Weak};

impl Inner {
    fn source(&self) -> Weak<dyn Source> {
        self.this.clone()
    }

    pub(super) fn start(&self, core: &Core) {
        self.enabled.set(true);
        self.reads.enter(core, self.source(), Interest::Input);
        self.writes.enter(core, self.source(), Interest::Output);
        self.await_time(core);
    }

    pub(super) fn stop(&self, core: &Core) {
        self.enabled.set(false);
        self.reads.leave(core);
        self.writes.leave(core);
        self.patience.stop(core);
    }

    /// Have the timer run, if there is to be one.
    pub(super) fn await_time(&self, core: &Core) {
        let enabled = self.enabled.get();
        let source = self.source();
        self.patience
            .set_active(enabled, core, &source, Interest::InputTimeout);
    }

    /// For good. The pollables go before the closure, which may own what they are children of.
    pub(super) fn end(&self) {
        self.enabled.set(false);
        // A base that is gone has taken along what it was to wait for.
        let core = self.core.upgrade();
        if let Some(core) = &core {
            self.stop(core);
        }
        self.reads.close();
        self.writes.close();
        self.callback.set(None);
        if let (Some(core), Some(kept)) = (core, self.kept.take()) {
            core.release(kept);
        }
    }

    /// Somebody has written. The output may have been said to be ready, and take nothing.
    pub(super) fn written(&self, something: bool) {
        if self.was_writable.take()
            && !something
            && let (Some(core), Some(wait)) = (self.core.upgrade(), self.writes.wait())
        {
            core.starved(wait);
        }
    }
}

impl Source for Inner {
    fn ready(self: Rc<Self>, base: &EventBase, interest: Interest) {
        let what = match interest {
            Interest::Input => Ready::Read,
            Interest::Output => Ready::Write,
            Interest::InputTimeout | Interest::OutputTimeout => Ready::TimedOut,
        };
        if what == Ready::TimedOut && !self.patience.has_timed_out(&base.0) {
            return self.await_time(&base.0);
        }
        self.patience.touch(&base.0);
        self.was_writable.set(what == Ready::Write);
        if let Some(callback) = self.callback.get() {
            (callback.borrow_mut())(&Watch(Rc::clone(&self)), what);
        }
        self.await_time(&base.0);
    }

    /// It waits for the same from one turn to the next.
    fn settle(self: Rc<Self>, _: &EventBase) {}

    fn abandon(self: Rc<Self>, _: &Core) -> Option<Remains> {
        self.kept.set(None);
        self.end();
        None
    }
}

impl Drop for Inner {
    fn drop(&mut self) {
        self.end();
    }
}
