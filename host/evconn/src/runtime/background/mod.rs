//! New and light connections come first: a guest that has used up its time slices, and more than others, continues on
//! threads with a low priority until most of what it used is forgotten.
//!
//! The [`meter`](super::meter) ends time slices and keeps the account of a connection; [`rules`] decides who has used
//! too much; [`threads`] runs the guests of the background, the lightest first.

mod ahead;
mod rules;
mod share;
mod threads;

pub(crate) use ahead::Ahead;
pub use share::CpuShare;

use super::meter::{Clock, Meter, Now};
use rules::Lightest;
use std::future::Future;
use std::io;
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use threads::Threads;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Where guests continue that have used more than others.
pub(crate) struct Background {
    threads: Threads,
    lightest: Lightest,
    /// In the foreground, guests that have used up a slice take turns: between two of them, the worker serves all
    /// others.
    turns: Arc<Semaphore>,
}

impl Background {
    /// Starts a thread for each worker. More of them would make the kernel interrupt more cores whenever memory
    /// of a guest changes.
    ///
    /// # Errors
    /// If its threads cannot be started.
    pub fn new(workers: usize, share: CpuShare) -> io::Result<Self> {
        Ok(Self {
            threads: Threads::start(workers, share)?,
            lightest: Lightest::default(),
            turns: Arc::new(Semaphore::new(workers)),
        })
    }

    /// Runs something for a connection: its guest or, for its sake, the host. Charges the connection's `meter` for
    /// it. If this future is dropped, so is the other one; soon afterwards, if it is in the background.
    pub async fn run<T: Send + 'static>(
        self: &Arc<Self>,
        mut run: Run<T>,
        meter: &Arc<Meter>,
    ) -> T {
        loop {
            run = match self.stretch(run, meter, Place::Foreground).await {
                Ended::Done(output) => return output,
                Ended::Left(run) => run,
            };
            meter.count_move();
            let stretch = self.stretch(run, meter, Place::Background);
            run = match self.threads.run(stretch, meter).await {
                Ended::Done(output) => return output,
                Ended::Left(run) => run,
            };
        }
    }

    /// Notes what a connection has used that has ended.
    pub fn note_end(&self, meter: &Meter) {
        let now = Now::read();
        self.lightest.note(meter.excess(now), now);
    }

    /// Returns whether guests wait for their turn.
    fn has_queue(&self) -> bool {
        self.turns.available_permits() == 0
    }

    fn stretch<T>(self: &Arc<Self>, run: Run<T>, meter: &Arc<Meter>, place: Place) -> Stretch<T> {
        Stretch {
            run: Some(run),
            meter: Arc::clone(meter),
            background: Arc::clone(self),
            place,
            turn: None,
            has_run: false,
        }
    }
}

/// What runs for a connection.
pub(crate) type Run<T> = Pin<Box<dyn Future<Output = T> + Send>>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Foreground,
    Background,
}

/// Polls something as long as it belongs where it is.
struct Stretch<T> {
    /// None: it has ended.
    run: Option<Run<T>>,
    meter: Arc<Meter>,
    background: Arc<Background>,
    place: Place,
    /// Its next turn, if it has used up a slice.
    turn: Option<Turn>,
    /// Whether it has run. Nobody knows how long it will.
    has_run: bool,
}

/// How a stretch has ended.
enum Ended<T> {
    Done(T),
    Left(Run<T>),
}

type Turn = Pin<Box<dyn Future<Output = Option<OwnedSemaphorePermit>> + Send>>;

/// Waits until no other guest has its turn, and until the worker has seen who else is ready.
async fn turn(turns: Arc<Semaphore>) -> Option<OwnedSemaphorePermit> {
    // It is never closed.
    let turn = turns.acquire_owned().await.ok();
    tokio::task::yield_now().await;
    turn
}

impl<T> Stretch<T> {
    fn clock(&self) -> Clock {
        match self.place {
            Place::Foreground => Clock::Monotonic,
            Place::Background => Clock::Thread,
        }
    }

    fn is_in_place(&self, now: Now) -> bool {
        let used = self.meter.excess(now);
        match self.place {
            Place::Foreground => !self.background.lightest.is_heavy(used, now),
            Place::Background => !self.background.lightest.is_light(used, now),
        }
    }

    fn wait_for_turn(&mut self) {
        if self.turn.is_none() {
            self.turn = Some(Box::pin(turn(Arc::clone(&self.background.turns))));
        }
    }

    fn poll_turn(&mut self, cx: &mut Context<'_>) -> Poll<Option<OwnedSemaphorePermit>> {
        match &mut self.turn {
            None => Poll::Ready(None),
            Some(turn) => turn.as_mut().poll(cx),
        }
    }

    /// Charges the poll that has ended.
    fn end_poll(&mut self, now: Now, cx: &mut Context<'_>) {
        let slice_used = self.meter.end_poll(now);
        self.turn = None;
        self.has_run = true;
        if self.place == Place::Foreground {
            if self.meter.has_settled(now) {
                self.background.lightest.note(self.meter.excess(now), now);
            }
            if slice_used {
                self.wait_for_turn();
                // Others see at once that there is a queue. It never ends here: the worker looks for others first.
                let _ = self.poll_turn(cx);
            }
        }
    }
}

impl<T> Future for Stretch<T> {
    type Output = Ended<T>;

    fn poll(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Ended<T>> {
        let now = Now::read();
        if !self.is_in_place(now) {
            return self.leave();
        }
        if self.place == Place::Foreground && !self.has_run && self.background.has_queue() {
            self.wait_for_turn();
        }
        // Kept until the end of this poll.
        let _turn = ready!(self.poll_turn(cx));
        let Some(mut run) = self.run.take() else {
            return Poll::Pending;
        };
        self.meter.begin_poll(self.clock(), now);
        let polled = run.as_mut().poll(cx);
        let now = Now::read();
        self.end_poll(now, cx);
        match polled {
            Poll::Ready(output) => Poll::Ready(Ended::Done(output)),
            Poll::Pending if !self.is_in_place(now) => Poll::Ready(Ended::Left(run)),
            Poll::Pending => {
                self.run = Some(run);
                Poll::Pending
            }
        }
    }
}

impl<T> Stretch<T> {
    fn leave(&mut self) -> Poll<Ended<T>> {
        self.run
            .take()
            .map_or(Poll::Pending, |run| Poll::Ready(Ended::Left(run)))
    }
}
