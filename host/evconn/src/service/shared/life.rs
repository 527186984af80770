//! The life of an instance that has several connections: from its start until it fails, exits, or is not needed any
//! more.

use super::running::Running;
use super::{Attempt, Failure, SharedInstances};
use crate::runtime::Ticking;
use crate::service::failure::caught;
use crate::service::instance::note_accepted;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::{Duration, Instant};
use tokio::time::{Sleep, sleep};

/// How the program has ended, or its instance was.
pub(super) type Outcome = Result<(), Failure>;

/// How long a guest has to let go of the connections that were taken away from it, once there is no place for others in
/// its instance. It notices at once that they have ended, unless it waits for something else.
const LETS_GO_WITHIN: Duration = Duration::from_secs(1);

/// Runs an instance until it has ended.
pub(super) async fn live(
    instances: Arc<SharedInstances>,
    running: Arc<Running>,
    key: usize,
    attempt: Attempt,
) -> Outcome {
    let mut life = Life {
        instances: &instances,
        running: &running,
        key,
        attempt: Some(attempt),
        accepted: 0,
        ticking: Some(instances.service.ticking()),
        unused: None,
        filled: None,
        was_ended: false,
    };
    let made = Box::pin(instances.make(&running)).await;
    let result = match made {
        Ok(mut instance) => {
            let run = instance.run(&*running, |cx, is_pending| life.look(cx, is_pending));
            let result = caught(run).await;
            instances.withdraw(&running, key);
            let limits = &instances.limits;
            // The instance is dropped before its connections end.
            instance.end_of_run(result, life.filled.is_none(), limits)
        }
        Err(failure) => {
            instances.withdraw(&running, key);
            Err(failure)
        }
    };
    let result = life.count_failure(result);
    result.map_err(|failure| failure.within(&instances.service.lines))
}

/// What is known of a program between two polls.
struct Life<'a> {
    instances: &'a Arc<SharedInstances>,
    running: &'a Running,
    key: usize,
    /// Its start, until it has accepted a connection.
    attempt: Option<Attempt>,
    /// How many connections it has accepted.
    accepted: usize,
    /// None while it waits for connections.
    ticking: Option<Ticking>,
    /// Since it has no connection.
    unused: Option<Unused>,
    /// Since there is no place for a connection, because of those that were taken away from the guest.
    filled: Option<Pin<Box<Sleep>>>,
    /// Whether it was ended because it is not needed any more.
    was_ended: bool,
}

/// How long an instance is kept that has no connection.
struct Unused {
    limit: Option<Duration>,
    sleep: Option<Pin<Box<Sleep>>>,
}

impl Life<'_> {
    /// Looks at a program that has run and may wait now. Returns whether it ends here.
    fn look(&mut self, cx: &mut Context<'_>, is_pending: bool) -> bool {
        self.note_accepted();
        if !is_pending {
            return false;
        }
        // What changes from now on wakes this task.
        self.running.task().register(cx.waker());
        if self.running.was_asked() && self.running.start() {
            self.instances.roster().set_ready(self.key);
        }
        let waits = self.running.is_awaited();
        // One that waits up to a time runs again by itself.
        self.tick(waits && !self.running.has_timeout());
        if self.running.has_connections() {
            self.unused = None;
            self.note_cut();
            return false;
        }
        let is_unused = self.running.is_given_up()
            || self.is_filled_for_long(cx)
            || self.is_unused_for_long(cx, waits);
        if is_unused && self.instances.end_if_unused(self.key) {
            self.was_ended = true;
        }
        self.was_ended
    }

    /// Notes whether the guest has let go of connections that were taken away from it. Returns whether there is no place
    /// for others.
    fn note_cut(&mut self) -> bool {
        let is_filled = self.running.has_cut() && self.instances.is_filled(self.running, self.key);
        if !is_filled {
            self.filled = None;
        }
        is_filled
    }

    /// Returns whether the guest has not let go of connections that were taken away from it, which leave no place for
    /// others.
    fn is_filled_for_long(&mut self, cx: &mut Context<'_>) -> bool {
        if !self.note_cut() {
            return false;
        }
        let wait = || Box::pin(sleep(LETS_GO_WITHIN));
        let is_over = self.filled.get_or_insert_with(wait).as_mut().poll(cx);
        if is_over.is_pending() {
            return false;
        }
        self.instances.give_up(self.key);
        tracing::info!(
            instance = %self.running.number,
            "an instance ends, since its service has not let go of the connections that it had, and has place for no others"
        );
        true
    }

    fn note_accepted(&mut self) {
        let accepted = self.running.accepted();
        if accepted == self.accepted {
            return;
        }
        self.accepted = accepted;
        // It may compute as long for each connection as if that had an instance of its own.
        self.running.meter.renew();
        let is_program = self.instances.service.is_program();
        note_accepted(self.attempt.take().as_ref(), is_program);
    }

    /// Keeps the clock of the time slices going unless the program waits for a connection, which brings its own.
    fn tick(&mut self, waits: bool) {
        match waits {
            true => self.ticking = None,
            false if self.ticking.is_none() => {
                self.ticking = Some(self.instances.service.ticking());
            }
            false => {}
        }
    }

    /// Returns whether an instance without connections has been kept for long enough: until it is idle, if it gets no
    /// more, but no longer than a connection may be; or for its timeout, and until it is idle.
    fn is_unused_for_long(&mut self, cx: &mut Context<'_>, waits: bool) -> bool {
        let is_last = self.running.is_last();
        let limit = match is_last {
            true if waits => return true,
            true => self.instances.limits.idle_timeout,
            // It was made ahead.
            false if !self.running.is_used() => return false,
            false => Some(self.instances.policy.idle_timeout),
        };
        if self
            .unused
            .as_ref()
            .is_none_or(|unused| unused.limit != limit)
        {
            let sleep = limit.map(|limit| Box::pin(sleep(limit)));
            self.unused = Some(Unused { limit, sleep });
        }
        let unused = self.unused.as_mut();
        let is_over = unused.is_some_and(|unused| unused.is_over(cx));
        is_over && (waits || is_last)
    }

    /// Counts that a program has ended before it has accepted a connection, so that it is not started for a while.
    fn count_failure(&mut self, result: Outcome) -> Outcome {
        self.note_accepted();
        // These are no faults of the program.
        let is_spared = self.was_ended || matches!(result, Err(Failure::NoRoom));
        let Some(attempt) = self.attempt.take().filter(|_| !is_spared) else {
            return result;
        };
        let is_program = self.instances.service.is_program();
        let now = Instant::now();
        Err(Failure::before_accept(attempt, result, is_program, now))
    }
}

impl Unused {
    fn is_over(&mut self, cx: &mut Context<'_>) -> bool {
        let Some(sleep) = &mut self.sleep else {
            return false;
        };
        sleep.is_elapsed() || matches!(sleep.as_mut().poll(cx), Poll::Ready(()))
    }
}
