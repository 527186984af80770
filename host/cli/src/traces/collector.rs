//! Traces of the process that serves, until somebody takes them.

use super::Trace;
use evconn::{ConnectionEnd, ConnectionInfo, ServerBuilder};
use serde::{Deserialize, Serialize};
use std::num::NonZeroU32;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

/// Maximum number of traces that have not been taken.
const MOST: usize = 8192;

/// How often they are taken.
const PERIOD: Duration = Duration::from_millis(250);

/// Collects a trace of each connection, or of each Nth.
#[derive(Clone)]
pub struct Collector(Arc<Mutex<Batch>>);

/// Traces, and how many were lost besides them, since there were too many.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Batch {
    pub traces: Vec<Trace>,
    pub lost: u64,
}

impl Batch {
    pub fn is_empty(&self) -> bool {
        self.traces.is_empty() && self.lost == 0
    }
}

impl Collector {
    /// Has a server tell of each Nth connection.
    pub fn new(builder: ServerBuilder, every: NonZeroU32) -> (Self, ServerBuilder) {
        let collector = Self(Arc::default());
        let collecting = collector.clone();
        let hook = move |info: &ConnectionInfo, end: &ConnectionEnd| {
            if info.number.is_multiple_of(every.get().into()) {
                collecting.add(Trace::of(info, end));
            }
        };
        (collector, builder.on_end(hook))
    }

    fn add(&self, trace: Trace) {
        let mut batch = self.batch();
        match batch.traces.len() < MOST {
            true => batch.traces.push(trace),
            false => batch.lost += 1,
        }
    }

    /// Takes what has been collected, if there is anything.
    pub fn take(&self) -> Option<Batch> {
        let batch = std::mem::take(&mut *self.batch());
        (!batch.is_empty()).then_some(batch)
    }

    /// Gives what is collected to `to`, from time to time, for ever.
    pub async fn run(self, mut to: impl FnMut(Batch)) {
        loop {
            tokio::time::sleep(PERIOD).await;
            self.take().into_iter().for_each(&mut to);
        }
    }

    fn batch(&self) -> MutexGuard<'_, Batch> {
        // Nothing in there panics halfway.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
