//! The callbacks of a listener, and how they are called.

use super::{AcceptError, Listener, Permit, PermitSource};
use crate::Connection;
use crate::connection::Parts;
use crate::metrics::Recorder;
use crate::runtime::Shortage;
use std::fmt;
use std::future::Future;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, PoisonError};

type Closure<E> = Arc<Mutex<dyn FnMut(&Listener, E) + Send>>;
type Start = Arc<dyn Fn(Listener, Parts, Option<Permit>) + Send + Sync>;

/// A closure that is called for one event at a time, not on the acceptor's task.
///
/// Clones share the closure: if several listeners have it, it is called for one of them at a time.
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

    /// Calls the closure. A panic is logged and ends only this call.
    pub fn call(&self, listener: &Listener, event: E) {
        // The acceptor starts one closure at a time, but another listener may have the same one.
        let mut closure = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if catch_unwind(AssertUnwindSafe(|| closure(listener, event))).is_err() {
            tracing::error!("a callback of the listener panicked");
        }
    }
}

/// What happens to a connection.
#[derive(Clone)]
pub(crate) enum ConnectionCallback {
    /// A closure is called, for one connection at a time.
    Closure(OneAtATime<Connection>),
    /// A task is started for each connection.
    Task(TaskCallback),
}

/// Starts a task for each connection, as far as there are permits.
#[derive(Clone)]
pub(crate) struct TaskCallback {
    start: Start,
    /// A permit is taken before each connection is accepted. None: there is no limit.
    pub permits: Option<PermitSource>,
    /// No connection is accepted while instances wait to be made. None: connections have none.
    pub shortage: Option<Shortage>,
    /// Counts what the listener does. None: nobody counts it.
    pub recorder: Option<Recorder>,
}

impl ConnectionCallback {
    pub fn closure(closure: impl FnMut(&Listener, Connection) + Send + 'static) -> Self {
        Self::Closure(OneAtATime::new(closure))
    }

    /// Returns a callback that runs an async function in a task for each connection.
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
                // The function is called in the task: the acceptor runs no code of the application.
                tokio::spawn(async move { function(listener, connection).await });
            }),
            permits: None,
            shortage: None,
            recorder: None,
        })
    }

    /// Returns a callback that calls `start` on the acceptor's task. It has to spawn a task and return.
    pub fn limited_task<F>(
        (permits, shortage): (PermitSource, Shortage),
        recorder: Recorder,
        start: F,
    ) -> Self
    where
        F: Fn(Listener, Parts, Option<Permit>) + Send + Sync + 'static,
    {
        Self::Task(TaskCallback {
            start: Arc::new(start),
            permits: Some(permits),
            shortage: Some(shortage),
            recorder: Some(recorder),
        })
    }
}

impl ConnectionCallback {
    /// Returns what counts what the listener does.
    pub fn recorder(&self) -> Option<&Recorder> {
        match self {
            Self::Task(task) => task.recorder.as_ref(),
            Self::Closure(_) => None,
        }
    }
}

impl TaskCallback {
    pub fn start(&self, listener: Listener, connection: Parts, permit: Option<Permit>) {
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

/// The closure that is called for errors.
pub(crate) type ErrorCallback = OneAtATime<AcceptError>;
