//! A guest's socket that listens: what it can accept, who waits for that, and that it ends.

use super::drain::Drain;
use super::listening::Listening;
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::policy::{Claim, Policy, TcpCtx};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};

/// Shared by the socket and by what says that there is something to accept.
#[derive(Debug)]
pub struct Listener {
    listening: Listening,
    /// Whom it takes.
    policy: Policy,
    /// Say, as long as they are there, that the guest listens here.
    _claims: Vec<Claim>,
    queue: Mutex<Queue>,
}

#[derive(Debug, Default)]
struct Queue {
    /// What came when somebody asked whether there is something to accept.
    ahead: Option<Result<Endpoint, ErrorCode>>,
    /// Set when it is about to be closed.
    drain: Option<Drain>,
}

impl Listener {
    pub fn new(listening: Listening, ctx: &TcpCtx) -> Self {
        // One that listens has an address; where it has none, nothing depends on it.
        let (claims, policy) = match listening.local_address() {
            Ok(address) if !listening.is_unix() => ctx.listens(address),
            Ok(_) | Err(_) => (Vec::new(), ctx.policy().clone()),
        };
        Self {
            listening,
            policy,
            _claims: claims,
            queue: Mutex::default(),
        }
    }

    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Accepts a connection. Pending: none waits, or this task has used up its time slice.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Endpoint, ErrorCode>> {
        let mut queue = self.queue();
        match queue.ahead.take() {
            Some(result) => Poll::Ready(result),
            None => self.poll_next(&mut queue, cx),
        }
    }

    /// Waits until accepting has something to say.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut queue = self.queue();
        if queue.ahead.is_none() {
            // There is no way to ask whether there is one but to accept it.
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

    /// Lets no more peers connect, and leaves the queue to others if it is `shared` with other processes. What
    /// waits can be accepted.
    pub fn end(&self, shared: bool) {
        let begin = || Drain::begin(&self.listening, shared);
        self.queue().drain.get_or_insert_with(begin);
    }

    /// Whether somebody is about to connect to one that [ends](Self::end), who came before it did.
    pub fn expects_more(&self) -> bool {
        let queue = self.queue();
        let drain = queue.drain.as_ref();
        drain.is_some_and(|drain| drain.expects_more(&self.listening))
    }

    /// Of one that [ends](Self::end): whether the last attempt to accept has found its queue empty. It is
    /// said once.
    pub fn found_nothing(&self) -> Option<bool> {
        self.queue().drain.as_mut().map(Drain::found_nothing)
    }

    fn queue(&self) -> MutexGuard<'_, Queue> {
        // Nothing in there panics halfway.
        self.queue.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
