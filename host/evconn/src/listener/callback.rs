//! What a listener calls, and how.

use super::{AcceptError, Listener};
use crate::Connection;
use crate::connection::Parts;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

type Closure<E> = Arc<Mutex<dyn FnMut(&Listener, E) + Send>>;
type Start = Arc<dyn Fn(Listener, Parts, Option<OwnedSemaphorePermit>) + Send + Sync>;

/// A closure that is called for one event at a time, off the acceptor's task.
///
/// Clones are the same closure: where several listeners have it, it is called for one of them at a time.
pub(crate) struct OneAtATime<E>(Closure<E>);

impl<E> Clone for OneAtATime<E> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<E> OneAtATime<E> {
    pub fn new(closure: impl FnMut(&Listener, E) + Send + 'static) -> Self {
        Self(Arc::new(Mutex::new(closure)))
    }

    /// Call the closure. A panic in it is logged, and is the end of this call alone.
    pub fn call(&self, listener: &Listener, event: E) {
        // The acceptor starts one closure at a time. Others may have the same one, and wait here.
        let mut closure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if catch_unwind(AssertUnwindSafe(|| closure(listener, event))).is_err() {
            tracing::error!("a callback of the listener panicked");
        }
    }
}

/// What is done about a connection.
#[derive(Clone)]
pub(crate) enum ConnectionCallback {
    /// Call a closure, one connection at a time.
    Closure(OneAtATime<Connection>),
    /// Start a task, and go on.
    Task(TaskCallback),
}

/// Starts a task for a connection, as often as there are permits.
#[derive(Clone)]
pub(crate) struct TaskCallback {
    start: Start,
    /// A permit is taken before the connection is accepted. None: as many as come.
    pub permits: Option<Arc<Semaphore>>,
}

impl ConnectionCallback {
    pub fn closure(closure: impl FnMut(&Listener, Connection) + Send + 'static) -> Self {
        Self::Closure(OneAtATime::new(closure))
    }

    /// An async function, a task for each connection.
    pub fn task<F, Fut>(function: F) -> Self
    where
        F: Fn(Listener, Connection) -> Fut + Send + Sync + 'static,
        Fut: Future<Output = ()> + Send + 'static,
    {
        let function = Arc::new(function);
        Self::Task(TaskCallback {
            start: Arc::new(move |listener, parts, _permit| {
                let connection = Connection::new(parts);
                let function = Arc::clone(&function);
                // Even the call is the task's: the acceptor runs nobody's code.
                tokio::spawn(async move { function(listener, connection).await });
            }),
            permits: None,
        })
    }

    /// `start` is called on the acceptor's task: it is to spawn one and return.
    pub fn limited_task<F>(permits: Arc<Semaphore>, start: F) -> Self
    where
        F: Fn(Listener, Parts, Option<OwnedSemaphorePermit>) + Send + Sync + 'static,
    {
        Self::Task(TaskCallback {
            start: Arc::new(start),
            permits: Some(permits),
        })
    }
}

impl TaskCallback {
    pub fn start(
        &self,
        listener: Listener,
        connection: Parts,
        permit: Option<OwnedSemaphorePermit>,
    ) {
        (self.start)(listener, connection, permit);
    }
}

impl fmt::Debug for ConnectionCallback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Closure(_) => "Closure",
            Self::Task(_) => "Task",
        })
    }
}

/// What is called about an error.
pub(crate) type ErrorCallback = OneAtATime<AcceptError>;
