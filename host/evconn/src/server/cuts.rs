//! What ends a connection early, regardless of its service.

use super::end::End;
use super::watch::{Cut, Watched, Watching};
use crate::limits::Limits;
use std::future::{Future, poll_fn};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// What can end a connection early.
pub(super) struct Cuts<'a, F> {
    watching: Watching<'a>,
    timeout: Option<(Duration, Pin<Box<Sleep>>)>,
    /// Ready when the peer has reset the connection or is unreachable.
    peer_gone: Pin<&'a mut F>,
    limits: &'a Limits,
}

impl<'a, F: Future<Output = ()>> Cuts<'a, F> {
    pub fn new(watching: Watching<'a>, peer_gone: Pin<&'a mut F>, limits: &'a Limits) -> Self {
        Self {
            watching,
            timeout: limits.timeout.map(|limit| (limit, Box::pin(sleep(limit)))),
            peer_gone,
            limits,
        }
    }

    /// Returns the connection, for its task to say what happens to it.
    pub fn watched(&self) -> &Arc<Watched> {
        self.watching.watched()
    }

    /// Returns the output of `something`, or how the connection was ended early.
    ///
    /// Pinned by the caller: here, memory for it would be reserved twice.
    pub async fn unless<T>(
        &mut self,
        mut something: Pin<&mut impl Future<Output = T>>,
    ) -> Result<T, End> {
        // All of this is polled whenever the guest is: a select! would cost more.
        poll_fn(|cx| {
            // A connection that is done at the same moment counts as served.
            if let Poll::Ready(output) = something.as_mut().poll(cx) {
                return Poll::Ready(Ok(output));
            }
            self.poll_cut(cx).map(Err)
        })
        .await
    }

    fn poll_cut(&mut self, cx: &mut Context<'_>) -> Poll<End> {
        if let Poll::Ready(cut) = self.watching.poll_cut_short(cx) {
            return Poll::Ready(self.end_of_cut(cut));
        }
        if self
            .watching
            .poll_peer_gone(self.peer_gone.as_mut())
            .is_ready()
        {
            return Poll::Ready(End::PeerGone);
        }
        match &mut self.timeout {
            Some((limit, sleep)) => sleep.as_mut().poll(cx).map(|()| End::Timeout(*limit)),
            None => Poll::Pending,
        }
    }

    fn end_of_cut(&self, cut: Cut) -> End {
        match (cut, self.limits.idle_timeout) {
            (Cut::Idle, Some(limit)) => End::Idle(limit),
            (Cut::HungUp, _) => End::PeerGone,
            (Cut::Reset, _) => End::Reset,
            (Cut::Idle, None) | (Cut::Shutdown, _) => End::Shutdown,
        }
    }
}
