//! Making instances ahead of the connections that they are for: see [`warm`](super::warm).

use super::console::{Console, InstanceNumber};
use super::instance::Instance;
use super::population::Alive;
use super::state::InstanceState;
use super::{Failure, Instances};
use crate::runtime::{Ahead, Meter};
use futures_util::FutureExt;
use std::num::NonZeroU32;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

impl Instances {
    /// Counts another instance. If there are as many as there may be, since some were made ahead, waits until that
    /// changes, and returns `None`.
    pub(super) async fn add(&self) -> Option<Alive> {
        let changed = self.population.changed();
        if let Some(alive) = self.population.add(self.most()) {
            return Some(alive);
        }
        let has_none = {
            let idle = self.idle();
            idle.ready.is_empty() && idle.instances.is_empty()
        };
        if has_none {
            let _waiting = Waiting::new(&self.waiting);
            changed.await;
        }
        None
    }

    /// Returns how many instances there may be. Without those that are made ahead, there are no more than connections.
    fn most(&self) -> usize {
        match (self.policy.warm, self.policy.max_instances) {
            (0, _) | (_, None) => usize::MAX,
            (_, Some(most)) => most.get(),
        }
    }

    /// Waits until another instance is to be made ahead. Returns whether there will be any.
    pub(super) async fn one_is_missing(&self) -> bool {
        if let Some(shared) = &self.shared {
            return shared.one_is_missing().await;
        }
        loop {
            let changed = self.population.changed();
            {
                let idle = self.idle();
                if idle.retired {
                    return false;
                }
                if idle.ready.len() < self.policy.warm && self.population.is_below(self.most()) {
                    return true;
                }
            }
            changed.await;
        }
    }

    /// Makes an instance ahead.
    ///
    /// # Errors
    /// If it fails at its start, or the process is short of memory for it.
    pub(super) async fn make_ahead(&self) -> Result<(), Failure> {
        if let Some(shared) = &self.shared {
            return shared.make_ahead().await;
        }
        let host = &self.service.host;
        let counted = host.shortage().count();
        let alive = self.population.add(self.most());
        let (Some(counted), Some(alive)) = (counted, alive) else {
            return Err(Failure::NoRoom);
        };
        let meter = Arc::new(Meter::new(self.limits.cpu_timeout, &self.recorder));
        let _ticking = self.service.ticking();
        let (service, limits, state) =
            (self.service.clone(), self.limits, self.unused_state(&meter));
        let make = async move { Instance::new(&service, &limits, state, counted).await };
        // A function of the host may panic, as for an instance that has a connection.
        let make = AssertUnwindSafe(make).catch_unwind();
        let waiting = Arc::clone(&self.waiting);
        let is_over = move || waiting.load(Ordering::Relaxed) > 0;
        let background = host.background();
        let made = match background.run_ahead(Box::pin(make), &meter, is_over).await {
            Ahead::Done(made) => made,
            Ahead::Left(make) => background.run(make, &meter).await,
        };
        let made = made.map_err(|panic| Failure::of_panic(&*panic))?;
        let mut instance =
            made.map_err(|unmade| Failure::from(unmade).within(&self.service.lines))?;
        host.shortage().made();
        instance.alive = Some(alive);
        self.keep_ready(instance);
        Ok(())
    }

    /// Keeps an instance for the next connection that finds no idle one.
    fn keep_ready(&self, instance: Instance) {
        let mut idle = self.idle();
        if !idle.retired {
            idle.ready.push(instance);
        }
        drop(idle);
        self.population.tell();
    }

    fn unused_state(&self, meter: &Arc<Meter>) -> InstanceState {
        let inherits = self.service.grants.inherits_stderr();
        let number = InstanceNumber::next();
        let console = Arc::new(Console::of_instance(number, inherits, &self.log));
        let meter = Arc::clone(meter);
        InstanceState::new(&self.service, &self.limits, console, NonZeroU32::MIN, meter)
    }
}

/// A connection that waits for an instance.
struct Waiting<'a>(&'a AtomicUsize);

impl<'a> Waiting<'a> {
    fn new(count: &'a AtomicUsize) -> Self {
        count.fetch_add(1, Ordering::Relaxed);
        Self(count)
    }
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}
