//! Where the events of a listener come from: the streams of its sockets, and the connections that it holds.

use crate::bindings::wasi::clocks::monotonic_clock;
use crate::bindings::wasi::sockets::types::ErrorCode;
use crate::changes::Changes;
use crate::deferred::Deferred;
use crate::sockets::Streams;
use evconn_listener_state::State;
use std::future::poll_fn;
use std::pin::Pin;
use std::task::Poll;

/// What only one call at a time uses.
pub struct Queue {
    pub streams: Streams,
    pub deferred: Option<Deferred>,
}

/// Something that is waited for.
type Wait<'a> = Pin<Box<dyn Future<Output = ()> + 'a>>;

impl Queue {
    /// Returns whether no further connection is accepted, because enough of them are held.
    pub fn holds_enough(&self) -> bool {
        self.deferred.as_ref().is_some_and(Deferred::is_full)
    }

    /// Returns how many connections are held.
    pub fn held(&self) -> u32 {
        let held = self.deferred.as_ref().map_or(0, Deferred::len);
        u32::try_from(held).unwrap_or(u32::MAX)
    }

    /// Waits until there may be an event in this state, or until the listener is changed.
    pub async fn wait(&mut self, state: State<ErrorCode>, changes: &Changes) {
        let mut waits = self.waits(state);
        poll_fn(|cx| {
            let has_changed = changes.poll(cx);
            let mut is_ready = |wait: &mut Wait<'_>| wait.as_mut().poll(cx).is_ready();
            match has_changed || waits.iter_mut().any(&mut is_ready) {
                true => Poll::Ready(()),
                false => Poll::Pending,
            }
        })
        .await;
    }

    fn waits(&mut self, state: State<ErrorCode>) -> Vec<Wait<'_>> {
        let mut waits: Vec<Wait<'_>> = Vec::new();
        let is_full = self.holds_enough();
        match state {
            State::Stopped(_) | State::Disabled | State::Paused => return waits,
            State::BackingOff(left) => waits.push(Box::pin(monotonic_clock::wait_for(left))),
            State::Accepting if is_full => {}
            State::Accepting => waits.extend(self.streams.ready().map(boxed)),
        }
        if let Some(deferred) = &mut self.deferred {
            if let Some(deadline) = deferred.deadline() {
                waits.push(Box::pin(monotonic_clock::wait_until(deadline)));
            }
            waits.extend(deferred.ready().map(boxed));
        }
        waits
    }
}

fn boxed<'a>(wait: impl Future<Output = ()> + 'a) -> Wait<'a> {
    Box::pin(wait)
}
