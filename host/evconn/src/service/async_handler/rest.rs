//! What is left of a connection when its handler has returned: the bytes that are sent, and how it ends. If the host has
//! all of it in its own hands, it needs no instance.

use super::Ended;
use super::held::{Held, TakenAway};
use super::returned::Sending;
use super::text;
use crate::sockets::p3::{Ending, Moving};
use crate::sockets::{Account, Endpoint};
use futures_util::future::{Either, select};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::{Context, Poll};

/// How a connection ends: with the text of its handler's error, if it has failed.
pub(in crate::service) type Conclusion = Result<(), String>;

/// What is left of a connection, as a future of its end. If it is dropped before, the connections that the guest has made,
/// and whose bytes are moved, are reset.
pub(crate) struct Rest {
    endpoint: Arc<Endpoint>,
    conclusion: Pin<Box<dyn Future<Output = Conclusion> + Send>>,
    /// Its output.
    concluded: Option<Conclusion>,
    /// Whether the guest has no part in what is sent.
    sends_alone: bool,
    /// How the connection ends, and whether the guest has no part in that.
    ending: Ending,
    ends_alone: bool,
    /// The streams that the guest has passed from one connection to another.
    moving: Vec<Pin<Box<dyn Future<Output = ()> + Send>>>,
    /// The connections that the guest has made, and whose bytes are moved.
    of_guest: Vec<Arc<Endpoint>>,
    is_taken_over: bool,
    /// Ends what an instance that has other connections, too, may have of this one.
    taken: Option<TakenAway>,
}

impl Rest {
    /// Returns what is left if this is sent, and the connection then ends like this: whether the `ending` is the host's
    /// own is said by `ends_alone`.
    pub(super) fn new(
        endpoint: &Arc<Endpoint>,
        held: &Arc<Held>,
        sending: Sending,
        (ending, ends_alone): (Ending, bool),
    ) -> Self {
        let Sending {
            sent,
            is_alone,
            of_guest,
        } = sending;
        let conclusion = conclude(Arc::clone(endpoint), Arc::clone(held), sent, ending.clone());
        Self {
            endpoint: Arc::clone(endpoint),
            conclusion: Box::pin(conclusion),
            concluded: None,
            sends_alone: is_alone,
            ending,
            ends_alone,
            moving: Vec::new(),
            of_guest: Vec::from_iter(of_guest),
            is_taken_over: false,
            taken: None,
        }
    }

    /// Adds streams that the guest has passed from one connection to another.
    pub(super) fn add(&mut self, moving: Vec<Moving>) {
        for moving in moving {
            self.of_guest.extend(moving.of_guest());
            self.moving.extend(moving.take());
        }
    }

    /// Waits until it is known how the connection ends, while others may still move streams.
    pub(super) fn poll_conclusion(&mut self, cx: &mut Context<'_>) -> Poll<&Conclusion> {
        if self.concluded.is_none()
            && let Poll::Ready(concluded) = self.conclusion.as_mut().poll(cx)
        {
            self.concluded = Some(concluded);
        }
        match &self.concluded {
            Some(concluded) => Poll::Ready(concluded),
            None => Poll::Pending,
        }
    }

    /// Returns whether the guest has no part in what is sent, nor in how the connection ends.
    pub(super) fn is_alone(&self) -> bool {
        let ends_alone = self.ends_alone || self.ending.is_known();
        self.concluded.is_some() || self.sends_alone && ends_alone
    }

    /// Returns whether it is known how the connection ends.
    pub(super) fn is_concluded(&self) -> bool {
        self.concluded.is_some()
    }

    /// Returns whether nothing is left.
    pub(super) fn is_over(&self) -> bool {
        self.concluded.is_some() && self.moving.is_empty()
    }

    /// Makes it the host's: the connections that the guest has made end with this one, and not with their guest.
    pub(super) fn take_over(&mut self) {
        self.is_taken_over = true;
        self.hold_those_of_guest();
    }

    fn hold_those_of_guest(&self) {
        for endpoint in &self.of_guest {
            endpoint.hold_end();
        }
    }

    /// Does the same for one of several connections of an instance: this account is charged for it, rather than that of
    /// the instance.
    pub(super) fn take_over_from(&mut self, taken: TakenAway, account: &Account) {
        self.take_over();
        self.taken = Some(taken);
        for endpoint in self.of_guest.iter().chain([&self.endpoint]) {
            endpoint.charge_to(account);
        }
    }

    /// Ends the connections that the guest has made regularly, since all that was moved has come to its end: unless they
    /// are still the guest's.
    pub(super) fn end_regularly(&mut self) {
        for endpoint in self.of_guest.drain(..) {
            if self.is_taken_over {
                endpoint.finish_in_background();
            }
        }
    }
}

impl Future for Rest {
    type Output = Conclusion;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Conclusion> {
        let is_concluded = match self.poll_conclusion(cx) {
            Poll::Ready(Err(text)) => return Poll::Ready(Err(text.clone())),
            Poll::Ready(Ok(())) => true,
            Poll::Pending => false,
        };
        self.moving
            .retain_mut(|moving| moving.as_mut().poll(cx).is_pending());
        if !is_concluded || !self.moving.is_empty() {
            return Poll::Pending;
        }
        self.end_regularly();
        Poll::Ready(Ok(()))
    }
}

impl Drop for Rest {
    fn drop(&mut self) {
        // Nobody else has ended them.
        self.hold_those_of_guest();
    }
}

/// Sends what a handler has returned, and ends the connection as it says.
async fn conclude(
    endpoint: Arc<Endpoint>,
    held: Arc<Held>,
    mut sent: Pin<Box<dyn Future<Output = ()> + Send>>,
    ending: Ending,
) -> Conclusion {
    let known = pin!(poll_fn(|cx| ending.poll(cx)));
    let end = match select(known, sent.as_mut()).await {
        Either::Left((end, _)) => end,
        Either::Right(((), known)) => return ended(&endpoint, known.await),
    };
    match end {
        // What was written before arrives before the reset.
        Err(_) => held.written(sent.as_mut()).await,
        Ok(()) => sent.await,
    }
    ended(&endpoint, end)
}

/// Ends what is sent, as a handler says.
fn ended(endpoint: &Endpoint, end: Ended) -> Conclusion {
    end.map_err(text)?;
    endpoint.end_sending();
    Ok(())
}
