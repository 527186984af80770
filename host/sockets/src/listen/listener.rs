//! A guest's listening socket: what it can accept, which task waits for that, and its drain.

use super::drain::Drain;
use super::listening::Listening;
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::policy::{Charge, Claim, Policy, TcpCtx};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// A listening socket, shared by the socket resource and its pollables.
#[derive(Debug)]
pub struct Listener {
    listening: Listening,
    /// Decides which peers are accepted.
    policy: Policy,
    /// Record, until they are dropped, that the guest listens here.
    _claims: Vec<Claim>,
    /// What is charged for its descriptor.
    _charge: Option<Charge>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// A result that was accepted by a check for readiness.
    ahead: Option<Result<Endpoint, ErrorCode>>,
    /// Whether a check for readiness leaves connections in the kernel's queue.
    on_demand: bool,
    /// Set when the socket is about to be closed.
    drain: Option<Drain>,
}

impl Listener {
    /// Wraps a socket, for whose descriptor something may be charged.
    pub fn new(listening: Listening, ctx: &TcpCtx, charge: Option<Charge>) -> Self {
        // A listening socket has an address. If it cannot be determined, no rule depends on it.
        let (claims, policy) = match listening.local_address() {
            Ok(address) if !listening.is_unix() => ctx.listens(address),
            Ok(_) | Err(_) => (Vec::new(), ctx.policy().clone()),
        };
        Self {
            listening,
            policy,
            _claims: claims,
            _charge: charge,
            queue: Mutex::default(),
        }
    }

    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Accepts a connection. Returns `Pending` if none waits, or if this task has used up its time slice.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Endpoint, ErrorCode>> {
        let mut queue = self.queue();
        match queue.ahead.take() {
            Some(result) => Poll::Ready(result),
            None => self.poll_next(&mut queue, cx),
        }
    }

    /// Closes a connection that a check for readiness has accepted.
    pub fn give_up_ahead(&self) {
        let ahead = self.queue().ahead.take();
        // Not under the lock.
        drop(ahead);
    }

    /// Keeps connections from waking the event loop until this is polled again.
    pub fn deregister(&self) {
        self.listening.deregister();
    }

    /// Accepts nothing from now on unless [`poll_accept`](Self::poll_accept) asks for it: other processes
    /// accept from the socket, too. It may be reported ready although they have accepted the connection.
    pub fn accept_on_demand(&self) {
        self.queue().on_demand = true;
    }

    /// Waits until accepting returns a connection or an error.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue();
        if queue.ahead.is_none() {
            if queue.on_demand && queue.drain.is_none() {
                return self.listening.poll_ready(cx);
            }
            // The only way to learn whether a connection waits is to accept it.
            queue.ahead = Some(ready!(self.poll_next(&mut queue, cx)));
        }
        Poll::Ready(())
    }

    fn poll_next(
        &self,
        queue: &mut Queue,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Endpoint, ErrorCode>> {
        let policy = &self.policy;
        match &mut queue.drain {
            None => self.listening.poll_accept(policy, cx),
            Some(drain) => drain.accept(&self.listening, policy),
        }
    }

    /// Stops new connections, and leaves the queue to the other processes if it is `shared` with them.
    /// Connections in the queue can still be accepted.
    pub fn end(&self, shared: bool) {
        let begin = || Drain::begin(&self.listening, shared);
        self.queue().drain.get_or_insert_with(begin);
    }

    /// Returns whether a listener that [ends](Self::end) has a handshake in progress that began before.
    pub fn expects_more(&self) -> bool {
        let queue = self.queue();
        let drain = queue.drain.as_ref();
        drain.is_some_and(|drain| drain.expects_more(&self.listening))
    }

    /// Returns, for a listener that [ends](Self::end), whether the last attempt to accept found the queue
    /// empty, and resets that.
    pub fn found_nothing(&self) -> Option<bool> {
        self.queue().drain.as_mut().map(Drain::found_nothing)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // No code panics while it holds this lock.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
