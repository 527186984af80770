//! Where the instances for connections come from: a fresh one for each, or one that has served others
//! before.

use super::instance::{Instance, Outcome, Spent};
use super::{Failure, Origin, Service};
use crate::limits::Limits;
use crate::runtime::Meter;
use crate::sockets::Endpoint;
use crate::sockets::Peer;
use std::collections::VecDeque;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::{Duration, Instant};

/// How often an instance is used.
///
/// An instance that is used again serves the next connection faster, but what it has in its memory
/// then passes from one peer to the next. What it has not dropped of its connection when its handler returns
/// is taken away. One that trapped or exited is never used again, and one that has more handles than half of
/// [`Limits::max_handles`](crate::Limits::max_handles) by then is not, either.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reuse {
    /// How many connections it serves, one after the other. 1: each connection gets a fresh one.
    pub connections: NonZeroU32,
    /// How long one that serves nobody is kept.
    pub idle_timeout: Duration,
}

impl Reuse {
    /// How long an instance that serves nobody is kept if nothing else is said: 10 seconds.
    pub const DEFAULT_IDLE_TIMEOUT: Duration = Duration::from_secs(10);

    /// Each connection gets a fresh instance.
    pub const NEVER: Self = Self {
        connections: NonZeroU32::MIN,
        idle_timeout: Self::DEFAULT_IDLE_TIMEOUT,
    };
}

impl Default for Reuse {
    fn default() -> Self {
        Self::NEVER
    }
}

/// The instances of a service.
pub(crate) struct Instances {
    service: Service,
    limits: Limits,
    reuse: Reuse,
    idle: Mutex<Idle>,
    /// It was said that instances are not used again.
    told_spent: AtomicBool,
}

#[derive(Default)]
struct Idle {
    /// In the order in which they became idle.
    instances: VecDeque<(Instant, Instance)>,
    /// A task ends those that have been idle for too long.
    has_janitor: bool,
    /// The service was replaced: nothing is kept any more.
    retired: bool,
}

impl Instances {
    pub fn new(service: Service, limits: Limits, reuse: Reuse) -> Self {
        Self {
            service,
            limits,
            reuse,
            idle: Mutex::default(),
            told_spent: AtomicBool::new(false),
        }
    }

    pub fn service(&self) -> &Service {
        &self.service
    }

    /// Have an instance serve a connection, which has this number, and whose end is held. What it takes up,
    /// its `_place`, is kept until this is done.
    pub async fn serve(
        self: Arc<Self>,
        _place: impl Send,
        endpoint: Arc<Endpoint>,
        number: u64,
        meter: Arc<Meter>,
    ) -> Result<(), Failure> {
        let peer = Peer::of(&endpoint);
        let origin = Origin { number, peer };
        let mut instance = match self.take_idle() {
            Some(instance) => instance,
            None => {
                let meter = Arc::clone(&meter);
                // In a box: the room that this takes is not needed while the connection is served.
                Box::pin(Instance::new(&self.service, &self.limits, origin, meter)).await?
            }
        };
        let result = match instance.begin(&endpoint, origin, meter) {
            Ok(connection) => instance.handle(connection).await,
            Err(error) => Err(error),
        };
        let Outcome { result, spent } = instance.end(&endpoint, result, &self.limits);
        let result = result.map_err(|failure| failure.within(&self.service.lines));
        if instance.served < self.reuse.connections.get() {
            match spent {
                None => self.keep(instance),
                Some(spent) => self.tell_spent(spent),
            }
        }
        result
    }

    /// Say once that instances are not used again, though that was asked for.
    fn tell_spent(&self, spent: Spent) {
        if spent == Spent::Failed || self.told_spent.swap(true, Ordering::Relaxed) {
            return;
        }
        match spent {
            // The connection's end says so.
            Spent::Failed => {}
            Spent::Exited => {
                tracing::warn!(
                    "instances are not used again, since the service ends them (wasi:cli/exit)"
                );
            }
            Spent::Handles(handles) => tracing::warn!(
                handles,
                "an instance is not used again, since its service does not drop its handles"
            ),
        }
    }

    /// Keep no instance any more.
    pub fn retire(&self) {
        let kept = {
            let mut idle = self.idle();
            idle.retired = true;
            std::mem::take(&mut idle.instances)
        };
        drop(kept);
    }

    fn idle(&self) -> MutexGuard<'_, Idle> {
        // Nothing in there panics halfway.
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The one that was used last: its memory is the warmest, and the others may be too many.
    fn take_idle(&self) -> Option<Instance> {
        match self.reuse.connections.get() {
            1 => None,
            _ => self
                .idle()
                .instances
                .pop_back()
                .map(|(_, instance)| instance),
        }
    }

    fn keep(self: Arc<Self>, mut instance: Instance) {
        instance.settle();
        let mut idle = self.idle();
        if idle.retired {
            return;
        }
        idle.instances.push_back((Instant::now(), instance));
        if !std::mem::replace(&mut idle.has_janitor, true) {
            tokio::spawn(end_idle_ones(
                Arc::downgrade(&self),
                self.reuse.idle_timeout,
            ));
        }
    }

    /// End the instances that are idle since before `then`. Returns since when the next one is, if
    /// there is one; otherwise the janitor has nothing to do.
    fn end_idle_since(&self, then: Instant) -> Option<Instant> {
        let mut ended = Vec::new();
        let mut idle = self.idle();
        while let Some((_, instance)) = idle.instances.pop_front_if(|(since, _)| *since <= then) {
            ended.push(instance);
        }
        let next = idle.instances.front().map(|(since, _)| *since);
        idle.has_janitor = next.is_some();
        drop(idle);
        next
    }
}

async fn end_idle_ones(instances: Weak<Instances>, timeout: Duration) {
    let mut next = Instant::now();
    loop {
        let Some(end) = next.checked_add(timeout) else {
            // They may be idle for longer than there is time.
            return;
        };
        tokio::time::sleep_until(end.into()).await;
        let Some(instances) = instances.upgrade() else {
            return;
        };
        let now = Instant::now();
        match instances.end_idle_since(now.checked_sub(timeout).unwrap_or(now)) {
            Some(since) => next = since,
            None => return,
        }
    }
}
