//! Instances that are made ahead of the connections that they are for.

use super::running::Running;
use super::{Failure, SharedInstances, Start};
use std::sync::Arc;
use std::time::Instant;

impl SharedInstances {
    /// Waits until another instance is to be made ahead. Returns whether there will be any.
    pub async fn one_is_missing(&self) -> bool {
        loop {
            // Whatever changes from now on is noticed.
            let changed = self.changed.notified();
            {
                let roster = self.roster();
                if roster.is_retired() {
                    return false;
                }
                if roster.ready() < self.policy.warm && roster.has_space() {
                    return true;
                }
            }
            changed.await;
        }
    }

    /// Makes an instance ahead, and waits until it is ready, or has a connection. If this is dropped before, the instance
    /// ends.
    ///
    /// # Errors
    /// Why it has ended.
    pub async fn make_ahead(self: &Arc<Self>) -> Result<(), Failure> {
        let attempt = self.backoff.begin(Instant::now());
        let attempt = attempt.map_err(|pause| self.not_made(pause))?;
        let running = {
            let mut roster = self.roster();
            let key = self.start(&mut roster, attempt, Start::Ahead);
            roster.instance(key).map(Arc::clone)
        };
        let Some(running) = running else {
            return Err(Failure::InstanceGone);
        };
        let mut unless_started = GivenUp(Some(&running));
        let ended = tokio::select! {
            biased;
            () = running.started() => {
                unless_started.0 = None;
                return Ok(());
            }
            ended = running.ended() => ended,
        };
        match ended.failure {
            Some(failure) => Err(Failure::Instance {
                failure,
                connections: 0,
            }),
            // It was not needed any more.
            None => Ok(()),
        }
    }
}

/// Ends an instance that nobody waits for any more.
struct GivenUp<'a>(Option<&'a Running>);

impl Drop for GivenUp<'_> {
    fn drop(&mut self) {
        if let Some(running) = self.0 {
            running.give_up();
        }
    }
}
