//! The acceptor's task: it applies what the handles request, takes events and dispatches them.
//!
//! It runs no callback itself. A closure runs on a thread where it may block, so that the task can
//! disable or close the listener in the meantime; each async function and each service gets a task of its
//! own.

use super::drain::{Drain, POLL_PERIOD};
use super::pace::{Capacity, Pace, Permits, Tokens};
use super::{Acceptor, Event, Pollables};
use crate::connection::{OnRelease, Parts};
use crate::listener::{
    AcceptError, ConnectionCallback, Control, Owner, Recovery, Stats, Status, StopReason,
    TaskCallback, Wanted,
};
use crate::metrics::{Count, Recorder, Timing};
use crate::{Connection, ErrorCode};
use futures_util::future::OptionFuture;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::ops::ControlFlow;
use std::time::Instant;
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// Drives a listener until it is closed or its last handle is dropped.
pub(crate) async fn run(
    acceptor: Acceptor,
    applied: Wanted,
    control: watch::Receiver<Control>,
    status: watch::Sender<Status>,
    owner: Owner,
    pace: Pace,
) {
    let mut task = Task {
        control,
        status,
        on_release: owner.on_release(),
        owner,
        applied,
        pending: VecDeque::new(),
        closure: None,
        permits: Permits::default(),
        per_turn: pace.per_turn,
        tokens: Tokens::of(pace.rate),
        drain: None,
        was_woken: false,
        full_since: None,
    };
    let outcome = task.drive(acceptor).await;
    task.finish(outcome).await;
}

/// The result of one poll for events.
enum Step {
    /// As many events were taken as allowed: there may be more.
    Full,
    /// All events were taken.
    Done,
    /// There was none, since another process has taken them.
    Late,
    /// There was none, and there will be none: the listener is drained.
    Drained,
}

/// Returns as what an error of accept counts.
fn kind_of(code: ErrorCode) -> Count {
    match code {
        ErrorCode::NewSocketLimit => Count::AcceptDescriptors,
        ErrorCode::OutOfMemory => Count::AcceptMemory,
        _ => Count::AcceptOther,
    }
}

/// Returns how many connections were accepted, whatever happened to them afterwards.
fn accepted(stats: &Stats) -> u64 {
    stats.accepted + stats.aborted + stats.timed_out + u64::from(stats.held)
}

struct Task {
    control: watch::Receiver<Control>,
    status: watch::Sender<Status>,
    /// The listener's handle, without keeping it alive.
    owner: Owner,
    /// Given to each connection.
    on_release: OnRelease,
    /// The settings last applied to the component.
    applied: Wanted,
    /// Events that were taken but not dispatched, since the listener was disabled in between.
    pending: VecDeque<Event>,
    /// The closure that is running.
    closure: Option<JoinHandle<()>>,
    /// Permits that no connection has used yet.
    permits: Permits,
    /// Tokens that no connection has used yet.
    tokens: Tokens,
    /// The most connections that are accepted before other tasks run.
    per_turn: NonZeroU32,
    /// Set when the listener is draining.
    drain: Option<Drain>,
    /// Whether the sockets were ready just now.
    was_woken: bool,
    /// Since when there has been no permit.
    full_since: Option<Instant>,
}

impl Task {
    async fn drive(&mut self, mut acceptor: Acceptor) -> wasmtime::Result<()> {
        loop {
            match self.wanted() {
                Some(wanted) => self.apply(&mut acceptor, wanted).await?,
                None => return Ok(()),
            }
            self.start_pending();
            if self.is_drained_by_an_error() {
                return Ok(());
            }
            let capacity = self.capacity();
            if let Capacity::For(max) = capacity {
                match self.step(&mut acceptor, max).await? {
                    Step::Full => {
                        tokio::task::yield_now().await;
                        continue;
                    }
                    Step::Drained => return Ok(()),
                    Step::Late => continue,
                    Step::Done => {}
                }
            }
            if self.wait(&mut acceptor, capacity).await?.is_break() {
                return Ok(());
            }
        }
    }

    /// Takes up to `max` events and dispatches them.
    async fn step(&mut self, acceptor: &mut Acceptor, max: u32) -> wasmtime::Result<Step> {
        let drain = self.drain.as_mut();
        let is_last = drain.is_some_and(|drain| drain.all_have_come(acceptor));
        let events = acceptor.next_events(max, &self.on_release)?;
        let taken = events.len();
        let is_late =
            std::mem::take(&mut self.was_woken) && taken == 0 && self.permits.have_rivals();
        let stats = acceptor.stats()?;
        let before = self.publish(stats, &events);
        self.tokens
            .spend(accepted(&stats).saturating_sub(accepted(&before)));
        self.pending.extend(events);
        self.start_pending();

        // To be asked after each poll.
        let found_nothing = self.drain.is_some() && acceptor.found_nothing();
        Ok(match taken {
            0 if is_last && found_nothing && stats.held == 0 => Step::Drained,
            _ if taken == max as usize => Step::Full,
            _ if is_late => Step::Late,
            _ => Step::Done,
        })
    }

    /// Returns the requested settings, or None if the listener is to end.
    fn wanted(&mut self) -> Option<Wanted> {
        let control = self.control.borrow_and_update();
        (!control.closed).then(|| control.wanted())
    }

    /// Applies the settings that have changed to the component.
    async fn apply(&mut self, acceptor: &mut Acceptor, wanted: Wanted) -> wasmtime::Result<()> {
        if wanted.enabled != self.applied.enabled {
            acceptor.set_enabled(wanted.enabled)?;
        }
        if wanted.has_callback != self.applied.has_callback {
            acceptor.set_has_callback(wanted.has_callback)?;
        }
        if wanted.retries != self.applied.retries {
            acceptor.retry()?;
            let left = acceptor.backing_off()?;
            let until = left.map(|left| Instant::now() + left);
            self.status
                .send_modify(|status| status.backing_off_until = until);
        }
        if wanted.draining && self.drain.is_none() {
            self.drain = Some(Drain::begin(acceptor, wanted.leaves_queue));
        }
        self.applied = wanted;
        Ok(())
    }

    /// Returns whether an error has stopped a listener that is draining.
    fn is_drained_by_an_error(&self) -> bool {
        self.drain.is_some() && self.pending.is_empty() && self.status.borrow().stopped.is_some()
    }

    /// Returns how many events may be taken, each of which has a token.
    fn capacity(&mut self) -> Capacity {
        let capacity = self.capacity_for_callbacks();
        self.note_wait(&capacity);
        match capacity {
            Capacity::For(max) => self.tokens.fill(max),
            none => none,
        }
    }

    /// Counts for how long there was no permit, once there is one.
    fn note_wait(&mut self, capacity: &Capacity) {
        if matches!(capacity, Capacity::WaitFor(_)) {
            self.full_since.get_or_insert_with(Instant::now);
        } else if let Some(since) = self.full_since.take() {
            self.record(|recorder| recorder.time(Timing::PermitWait, since.elapsed()));
        }
    }

    fn record(&self, record: impl FnOnce(&Recorder)) {
        let control = self.control.borrow();
        let callback = control.on_connection.as_ref();
        if let Some(recorder) = callback.and_then(ConnectionCallback::recorder) {
            record(recorder);
        }
    }

    /// Returns how many events may be taken: none while others have not been dispatched.
    fn capacity_for_callbacks(&mut self) -> Capacity {
        let control = self.control.borrow();
        if self.closure.is_some() || !self.pending.is_empty() && !control.may_start() {
            return Capacity::None;
        }
        match &control.on_connection {
            // Pending events are dispatched first. They can only be pending for want of a permit.
            Some(ConnectionCallback::Task(TaskCallback {
                permits: Some(source),
                ..
            })) if !self.pending.is_empty() => Capacity::WaitFor(source.clone()),
            _ if !self.pending.is_empty() => Capacity::None,
            None => Capacity::None,
            Some(ConnectionCallback::Closure(_)) => Capacity::For(1),
            // Nothing is accepted: a permit, of which other processes may have all, is needed only for what
            // was accepted before, when that is dispatched.
            _ if self.drain.as_ref().is_some_and(|drain| drain.leaves_queue) => Capacity::For(1),
            Some(ConnectionCallback::Task(TaskCallback {
                shortage: Some(shortage),
                ..
            })) if !shortage.is_over() => Capacity::WaitForInstances(shortage.clone()),
            Some(ConnectionCallback::Task(TaskCallback { permits: None, .. })) => {
                Capacity::For(self.per_turn.get())
            }
            Some(ConnectionCallback::Task(TaskCallback {
                permits: Some(source),
                ..
            })) => self.permits.fill(source, self.per_turn),
        }
    }

    /// Publishes the result of the last poll. Returns the previous counts. Tasks on other threads wait
    /// for the listener's end, so they are not woken for each connection.
    fn publish(&mut self, stats: Stats, events: &[Event]) -> Stats {
        let mut before = stats;
        self.status.send_if_modified(|status| {
            before = std::mem::replace(&mut status.stats, stats);
            let was_stopped = status.stopped.is_some();
            for event in events {
                status.backing_off_until = None;
                match event {
                    Event::Connection(_) => {}
                    Event::Error(error) => match error.recovery {
                        Recovery::Retrying(left) => {
                            status.backing_off_until = Some(Instant::now() + left);
                        }
                        Recovery::Stopped => status.stopped = Some(StopReason::Socket(error.code)),
                    },
                }
            }
            status.stopped.is_some() != was_stopped
        });
        before
    }

    /// Dispatches pending events in order, for as long as that is allowed.
    fn start_pending(&mut self) {
        while self.closure.is_none()
            && let Some(event) = self.pending.pop_front()
        {
            let left = match event {
                Event::Connection(parts) => self.start_connection(parts).map(Event::Connection),
                Event::Error(error) => self.start_error(error).map(Event::Error),
            };
            if let Some(event) = left {
                self.pending.push_front(event);
                return;
            }
        }
    }

    /// Dispatches a connection, or returns it if that is not allowed now.
    fn start_connection(&mut self, parts: Parts) -> Option<Parts> {
        // While this is borrowed, no handle can change it: after `disable` nothing is started.
        let control = self.control.borrow();
        let (true, Some(callback)) = (control.may_start(), &control.on_connection) else {
            return Some(parts);
        };
        let Some(listener) = self.owner.listener() else {
            return Some(parts);
        };
        match callback {
            ConnectionCallback::Closure(closure) => {
                let closure = closure.clone();
                self.status.send_modify(|status| status.in_closure = true);
                self.closure = Some(tokio::task::spawn_blocking(move || {
                    closure.call(&listener, Connection::new(parts));
                }));
            }
            ConnectionCallback::Task(task) => {
                let permit = match &task.permits {
                    None => None,
                    Some(source) => match self.permits.one(source) {
                        Some(permit) => Some(permit),
                        None => return Some(parts),
                    },
                };
                task.start(listener, parts, permit);
            }
        }
        None
    }

    /// Dispatches an error, or returns it if that is not allowed now.
    fn start_error(&mut self, error: AcceptError) -> Option<AcceptError> {
        let control = self.control.borrow();
        if !control.may_start() {
            return Some(error);
        }
        let callback = control.on_connection.as_ref();
        if let Some(recorder) = callback.and_then(ConnectionCallback::recorder) {
            recorder.add(kind_of(error.code), 1);
        }
        let listener = self.owner.listener();
        match (&control.on_error, listener) {
            (Some(closure), Some(listener)) => {
                let closure = closure.clone();
                self.status.send_modify(|status| status.in_closure = true);
                self.closure = Some(tokio::task::spawn_blocking(move || {
                    closure.call(&listener, error);
                }));
            }
            _ => tracing::warn!("accepting a connection failed: {error}"),
        }
        None
    }

    /// Waits until there may be something to do. Returns `Break` if no handle is left.
    async fn wait(
        &mut self,
        acceptor: &mut Acceptor,
        capacity: Capacity,
    ) -> wasmtime::Result<ControlFlow<()>> {
        let takes_events = match capacity {
            Capacity::For(_) => self.closure.is_none() && self.pending.is_empty(),
            _ => false,
        };
        let next_poll =
            (takes_events && self.drain.is_some()).then(|| tokio::time::sleep(POLL_PERIOD));
        let token = match capacity {
            Capacity::WaitUntil(time) => Some(time),
            _ => None,
        };
        let pollables = self.prepare(acceptor, &capacity, takes_events)?;
        let mut flow = ControlFlow::Continue(());
        tokio::select! {
            changed = self.control.changed() => {
                if changed.is_err() {
                    flow = ControlFlow::Break(());
                }
            }
            Some(_) = OptionFuture::from(self.closure.as_mut()) => self.closure_ended(),
            () = self.permits.wait(&capacity) => {}
            Some(()) = OptionFuture::from(token.map(|time| self.tokens.wait(time))) => {}
            Some(()) = OptionFuture::from(next_poll) => {}
            Some(ready) = OptionFuture::from(pollables.as_ref().map(|p| acceptor.ready(p))) => {
                ready?;
                self.was_woken = true;
            }
        }
        if let Some(pollables) = pollables {
            acceptor.unsubscribe(pollables)?;
        }
        Ok(flow)
    }

    /// Gives back what was not used, and returns the pollables to wait for, if events are to be taken.
    fn prepare(
        &mut self,
        acceptor: &mut Acceptor,
        capacity: &Capacity,
        takes_events: bool,
    ) -> wasmtime::Result<Option<Pollables>> {
        #[cfg(unix)]
        match capacity {
            Capacity::Pause(_) => acceptor.deregister(),
            _ if takes_events && matches!(self.permits, Permits::Shared(_)) => {
                acceptor.accept_on_demand();
            }
            _ => {}
        }
        #[cfg(not(unix))]
        let _ = capacity;
        // Another listener may be waiting for it.
        self.permits.give_back();
        self.tokens.give_back();
        match takes_events {
            true => acceptor.subscribe().map(Some),
            false => Ok(None),
        }
    }

    fn closure_ended(&mut self) {
        self.closure = None;
        self.status.send_modify(|status| status.in_closure = false);
    }

    /// Reports that the sockets are closed, and waits for the closure that is running.
    async fn finish(mut self, outcome: wasmtime::Result<()>) {
        // It accepts no more: other processes need not leave connections to it.
        self.permits = Permits::default();
        self.tokens = Tokens::of(None);
        // Nobody serves these connections: reset them, so that their peers know.
        for event in self.pending.drain(..) {
            if let Event::Connection(parts) = event {
                parts.endpoint.reset();
            }
        }
        if self.drain.is_some()
            && let Some(listener) = self.owner.listener()
        {
            // Drops what the callbacks have captured, which may include this listener's handles. That can
            // run any code, so it does not happen on this task. An error would be a panic of that code,
            // or the end of the runtime.
            let _ = tokio::task::spawn_blocking(move || listener.close()).await;
        }
        self.status.send_modify(|status| {
            status.closed = true;
            status.backing_off_until = None;
            if let Err(trap) = outcome {
                tracing::error!("the listener component failed: {trap:#}");
                status.stopped = Some(StopReason::Trap(format!("{trap:#}").into()));
            }
        });
        if let Some(closure) = self.closure.take() {
            // An error would be a panic, which the closure has caught and logged.
            let _ = closure.await;
            self.closure_ended();
        }
    }
}
