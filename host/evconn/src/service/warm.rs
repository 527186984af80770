//! Instances that are made ahead of the connections that they are for: as many as the policy says are kept ready.

use super::backoff::pause;
use super::{Failure, Instances};
use crate::Error;
use crate::metrics::Count;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::time::{sleep, timeout};
use tokio_util::sync::CancellationToken;

/// How long an instance may take until it is ready. Most take a second or less, at a low priority; a program that waits
/// for something else first may have to try that several times. systemd gives a service 90 seconds for its start: the
/// reason is to be told before it ends the server.
const READY_WITHIN: Duration = Duration::from_secs(60);

/// What has become of the instances that are made ahead.
pub(super) struct WarmUp {
    has_begun: AtomicBool,
    /// Whether the first one is ready, or why it is not.
    first: watch::Sender<Option<Result<(), String>>>,
    /// Whether the service was replaced, or the server ends.
    ended: CancellationToken,
}

impl Default for WarmUp {
    fn default() -> Self {
        Self {
            has_begun: AtomicBool::new(false),
            first: watch::Sender::new(None),
            ended: CancellationToken::new(),
        }
    }
}

impl WarmUp {
    /// Makes no more of them, and gives up those that are not ready.
    pub fn end(&self) {
        self.ended.cancel();
        self.note(Ok(()));
    }

    /// Notes the first result. Returns whether somebody waits for it.
    fn note(&self, result: Result<(), &str>) -> bool {
        let is_first = self.first.send_if_modified(|first| match first {
            None => {
                *first = Some(result.map_err(str::to_owned));
                true
            }
            Some(_) => false,
        });
        is_first && self.first.receiver_count() > 0
    }
}

impl Instances {
    /// Waits until the first of the instances is ready that are made ahead, if any are.
    ///
    /// # Errors
    /// [`Error::NotWarm`] if it has ended before.
    pub async fn warmed_up(self: &Arc<Self>) -> Result<(), Error> {
        if self.policy.warm == 0 {
            return Ok(());
        }
        let mut first = self.warm_up.first.subscribe();
        self.begin_warming();
        // It fails if the sender is gone, which this keeps.
        match first.wait_for(Option::is_some).await.as_deref() {
            Ok(Some(Err(reason))) => Err(Error::NotWarm {
                reason: reason.clone(),
            }),
            _ => Ok(()),
        }
    }

    /// Begins to make instances ahead, unless that has been done, or none are.
    pub fn begin_warming(self: &Arc<Self>) {
        if self.policy.warm > 0 && !self.warm_up.has_begun.swap(true, Ordering::Relaxed) {
            let instances = Arc::clone(self);
            let task = async move {
                let ended = instances.warm_up.ended.clone();
                // None: it was ended.
                let _ = ended.run_until_cancelled(keep_warm(instances)).await;
            };
            self.service.host.workers().spawn(self.tasks.track(task));
        }
    }
}

/// Keeps instances ready, until the service is replaced.
async fn keep_warm(instances: Arc<Instances>) {
    let mut failures = 0_u32;
    while instances.one_is_missing().await {
        let begun = Instant::now();
        let why = match timeout(READY_WITHIN, instances.make_ahead()).await {
            Ok(Ok(())) => {
                instances.warm_up.note(Ok(()));
                failures = 0;
                instances.recorder.add(Count::Ahead, 1);
                tracing::debug!(time = ?begun.elapsed(), "an instance is ready that was made ahead");
                continue;
            }
            // Its connections have told why.
            Ok(Err(Failure::NotStarted(pause) | Failure::NotMade(pause))) => {
                sleep(pause).await;
                continue;
            }
            Ok(Err(failure)) => failure.of_unused(),
            Err(_) => format!(
                "it was not ready within {READY_WITHIN:?}: a program has to listen and to accept before it does \
                 anything that takes long"
            ),
        };
        failures = failures.saturating_add(1);
        let is_told = instances.warm_up.note(Err(&why));
        if failures == 1 && !is_told {
            tracing::warn!("{}", Error::NotWarm { reason: why });
        }
        sleep(pause(failures)).await;
    }
}
