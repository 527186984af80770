//! Looks host names up for the workers: the system's resolver reads files and loads libraries, which a worker
//! cannot.

use crate::control::{Sender, ToWorker};
use evconn::sockets;
use std::sync::Arc;
use tokio::sync::Semaphore;

/// How many names are looked up at a time for one worker. Each look-up takes a thread.
const AT_A_TIME: usize = 64;

/// The look-ups of one worker.
pub struct Names {
    permits: Arc<Semaphore>,
    control: Sender<ToWorker>,
}

impl Names {
    pub fn new(control: Sender<ToWorker>) -> Self {
        let permits = Arc::new(Semaphore::new(AT_A_TIME));
        Self { permits, control }
    }

    /// Looks a name up, and sends the worker the outcome. The worker's own limit is the same, so that it gets an
    /// error only if it is not what it should be.
    pub fn resolve(&self, id: u64, name: String) {
        let control = self.control.clone();
        let permit = Arc::clone(&self.permits).try_acquire_owned();
        tokio::spawn(async move {
            let addresses = match permit {
                Ok(_permit) => sockets::resolve_name(&name)
                    .await
                    .map_err(|error| error.to_string()),
                Err(_) => Err("too many look-ups at a time".to_owned()),
            };
            // The worker may be gone.
            let _ = control.send(&ToWorker::Resolved { id, addresses }, Vec::new());
        });
    }
}
