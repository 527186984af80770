//! Measures by how much the event loops of the workers are late.

use super::Workers;
use crate::metrics::{Recorder, Timing};
use std::time::Duration;
use tokio::task::JoinSet;
use tokio::time::{Instant, sleep_until};

/// How often the lag is measured.
const PERIOD: Duration = Duration::from_secs(1);

impl Workers {
    /// Measures the lag of each worker until the returned value is dropped.
    pub fn measure_lag(&self, recorder: &Recorder) -> LagMeasured {
        let mut tasks = JoinSet::new();
        for worker in &self.0 {
            tasks.spawn_on(measure(recorder.clone()), &worker.runtime);
        }
        LagMeasured(tasks)
    }
}

/// The tasks that measure. They end when this is dropped.
pub(crate) struct LagMeasured(
    #[expect(dead_code, reason = "kept until it is dropped")] JoinSet<()>,
);

async fn measure(recorder: Recorder) {
    loop {
        let due = Instant::now() + PERIOD;
        sleep_until(due).await;
        recorder.time(Timing::LoopLag, due.elapsed());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::num::NonZero;

    #[test]
    fn a_loop_that_is_blocked_is_late() {
        let workers = Workers::start(NonZero::new(1)).expect("a thread");
        let recorder = Recorder::default();
        let _measured = workers.measure_lag(&recorder);
        let blocked = 2 * PERIOD;
        workers.spawn(async move { std::thread::sleep(blocked) });
        let begun = std::time::Instant::now();
        while recorder.snapshot().timing(Timing::LoopLag).1 < 500_000_000 {
            assert!(begun.elapsed() < 30 * PERIOD, "the lag is not measured");
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}
