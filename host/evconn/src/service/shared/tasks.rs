//! The tasks of instances that outlive their connections.

use std::future::Future;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

/// The tasks of a server's instances. Clones are the same.
#[derive(Clone, Default)]
pub(crate) struct InstanceTasks {
    tracker: TaskTracker,
    killed: CancellationToken,
}

impl InstanceTasks {
    /// Returns a task that ends early when all are killed, and is waited for.
    pub fn track(
        &self,
        task: impl Future<Output = ()> + Send + 'static,
    ) -> impl Future<Output = ()> + Send + 'static {
        let (token, killed) = (self.tracker.token(), self.killed.clone());
        async move {
            tokio::select! {
                biased;
                () = killed.cancelled() => {}
                () = task => {}
            }
            drop(token);
        }
    }

    /// Ends all instances, including future ones.
    pub fn kill(&self) {
        self.killed.cancel();
    }

    /// Waits until there is none. Call this when no connection can start one any more.
    pub async fn ended(&self) {
        self.tracker.close();
        self.tracker.wait().await;
    }
}
