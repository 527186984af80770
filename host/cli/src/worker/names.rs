//! Has host names looked up by the supervisor: a worker cannot read the files that a lookup requires.

use crate::control::{FromWorker, Sender};
use evconn::sockets::Resolver;
use futures_util::future::BoxFuture;
use std::collections::HashMap;
use std::io;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::oneshot;

type Answer = Result<Vec<IpAddr>, String>;

/// The lookups in progress.
pub struct Names {
    supervisor: Sender<FromWorker>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    last: u64,
    waiting: HashMap<u64, oneshot::Sender<Answer>>,
}

impl Names {
    pub fn new(supervisor: Sender<FromWorker>) -> Arc<Self> {
        Arc::new(Self {
            supervisor,
            state: Mutex::default(),
        })
    }

    /// Passes on the answer to a lookup.
    pub fn resolved(&self, id: u64, answer: Answer) {
        if let Some(waiting) = self.state().waiting.remove(&id) {
            // The caller may have given up.
            let _ = waiting.send(answer);
        }
    }

    fn ask(&self, name: String) -> io::Result<oneshot::Receiver<Answer>> {
        let (answer, answered) = oneshot::channel();
        let id = {
            let mut state = self.state();
            state.last += 1;
            let id = state.last;
            state.waiting.insert(id, answer);
            id
        };
        let question = FromWorker::Resolve { id, name };
        if self.supervisor.send(&question, Vec::new()).is_err() {
            self.state().waiting.remove(&id);
            return Err(io::Error::other("the supervisor does not answer"));
        }
        Ok(answered)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // No code panics while it holds this lock.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Resolver for Names {
    fn resolve(&self, name: String) -> BoxFuture<'static, io::Result<Vec<IpAddr>>> {
        let asked = self.ask(name);
        Box::pin(async move {
            match asked?.await {
                Ok(Ok(addresses)) => Ok(addresses),
                Ok(Err(error)) => Err(io::Error::other(error)),
                Err(_) => Err(io::Error::other("the supervisor is gone")),
            }
        })
    }
}

impl std::fmt::Debug for Names {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Names").finish_non_exhaustive()
    }
}
