//! Looks up host names for the workers: the system's resolver reads files and loads libraries, which a worker
//! must not.

use crate::control::{Sender, ToWorker};
use evconn::sockets;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// Maximum number of concurrent lookups for one worker. Each requires a thread.
const MAX_LOOKUPS: usize = 64;

/// The lookups of one worker.
pub struct Names {
    permits: Arc<Semaphore>,
    control: Sender<ToWorker>,
}

impl Names {
    pub fn new(control: Sender<ToWorker>) -> Self {
        let permits = Arc::new(Semaphore::new(MAX_LOOKUPS));
        Self { permits, control }
    }

    /// Looks up a name, and sends the outcome to the worker. A worker that is not compromised has the same limit
    /// and never exceeds this one.
    pub fn resolve(&self, id: u64, name: String) {
        let control = self.control.clone();
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        tokio::spawn(async move {
            let addresses = match permit {
                Ok(_permit) => sockets::resolve_name(&name)
                    .await
                    .map_err(|error| error.to_string()),
                Err(_) => Err("too many lookups at a time".to_owned()),
            };
            // The worker may be gone.
            let _ = control.send(&ToWorker::Resolved { id, addresses }, Vec::new());
        });
    }
}
