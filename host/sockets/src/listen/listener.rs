//! A guest's socket that listens: what it can accept, who waits for that, and that it ends.

use crate::listen::drain::Ending;
use crate::listen::listening::Listening;
use crate::policy::own::Claim;
use crate::{Endpoint, Policy, TcpCtx};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, ready};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// Shared by the socket and by what says that there is something to accept.
#[derive(Debug)]
pub(crate) struct Listener {
    listening: Listening,
    /// Whom it takes.
    policy: Policy,
    /// Say, as long as they are there, that the guest listens here.
    _claims: Vec<Claim>,
    state: Mutex<State>,
}

#[derive(Debug, Default)]
struct State {
    /// What came when somebody asked whether there is something to accept.
    ahead: Option<Result<Endpoint, ErrorCode>>,
    /// Set when it is about to be closed.
    ending: Option<Ending>,
}

impl Listener {
    pub fn new(listening: Listening, ctx: &TcpCtx) -> Self {
        // One that listens has an address; where it has none, nothing depends on it.
        let (claims, policy) = match listening.local_address() {
            Ok(address) if !listening.is_unix() => ctx.listens(address),
            Ok(_) | Err(_) => (Vec::new(), ctx.rules.policy.clone()),
        };
        Self {
            listening,
            policy,
            _claims: claims,
            state: Mutex::default(),
        }
    }

    pub fn listening(&self) -> &Listening {
        &self.listening
    }

    /// Accept a connection. Pending: none waits, or this task has had enough for now.
    pub fn poll_accept(&self, cx: &mut Context<'_>) -> Poll<Result<Endpoint, ErrorCode>> {
        let mut state = self.state();
        match state.ahead.take() {
            Some(result) => Poll::Ready(result),
            None => self.poll_next(&mut state, cx),
        }
    }

    /// Wait until accepting has something to say.
    pub fn poll_ready(&self, cx: &mut Context<'_>) -> Poll<()> {
        let mut state = self.state();
        if state.ahead.is_none() {
            // There is no way to ask whether there is one but to accept it.
            state.ahead = Some(ready!(self.poll_next(&mut state, cx)));
        }
        Poll::Ready(())
    }

    fn poll_next(
        &self,
        state: &mut State,
        cx: &mut Context<'_>,
    ) -> Poll<Result<Endpoint, ErrorCode>> {
        let policy = &self.policy;
        match &mut state.ending {
            None => self.listening.poll_accept(policy, cx),
            Some(ending) => ending.accept(&self.listening, policy),
        }
    }

    /// Let no more peers connect, and leave it to others if it is `shared` with other processes. What
    /// waits can be accepted.
    pub fn end(&self, shared: bool) {
        let begin = || Ending::begin(&self.listening, shared);
        self.state().ending.get_or_insert_with(begin);
    }

    /// Whether somebody is about to connect to one that [ends](Self::end), who came before it did.
    pub fn expects_more(&self) -> bool {
        let state = self.state();
        let ending = state.ending.as_ref();
        ending.is_some_and(|ending| ending.expects_more(&self.listening))
    }

    /// Of one that [ends](Self::end): whether the last attempt to accept has found its queue empty. It is
    /// said once.
    pub fn found_nothing(&self) -> Option<bool> {
        self.state().ending.as_mut().map(Ending::found_nothing)
    }

    fn state(&self) -> MutexGuard<'_, State> {
        // Nothing in there panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
