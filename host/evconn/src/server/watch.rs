//! Ends connections that are idle or whose peer has hung up, and all of them at the end of the server.
//!
//! One task checks all connections. A timer for each would have to be created, and polled whenever the
//! guest is.

use super::status::{ConnectionPhases, ConnectionState, ConnectionStatus, CurrentState, Known};
use crate::metrics::{Count, Recorder};
use crate::sockets::{Direction, Endpoint};
use futures_util::future::join;
use futures_util::task::AtomicWaker;
use slab::Slab;
use std::convert::Infallible;
use std::future::{Future, pending};
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU8, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll, Wake, Waker};
use std::time::{Duration, Instant};
use tokio::time::{MissedTickBehavior, interval};

/// How many times connections are checked within the idle timeout. A connection lasts up to two checks
/// longer: one that finds its last byte, and one that finds it idle for long enough.
const CHECKS: u32 = 16;

/// How often to check which peers have hung up. Their connections end at the second check that finds
/// this, since their guests may have something left to do.
const HANG_UP_PERIOD: Duration = Duration::from_secs(5);

/// The shortest period between checks: timers are no finer.
const SHORTEST_PERIOD: Duration = Duration::from_millis(1);

/// All connections of a server.
pub(super) struct Watch {
    idle_timeout: Option<Duration>,
    recorder: Recorder,
    state: Mutex<WatchedConnections>,
}

#[derive(Default)]
struct WatchedConnections {
    entries: Slab<Entry>,
    /// Whether the server ends: all further connections are ended, too.
    killed: bool,
}

struct Entry {
    known: Known,
    watched: Arc<Watched>,
    /// The activity count at the last check.
    activity: u64,
    /// Since when it has not changed, as far as is known.
    since: Instant,
    /// Whether its peer had hung up at the last check.
    has_hung_up: bool,
    /// What of it was counted: the bytes that were received, and those that were sent.
    counted: [u64; 2],
    /// The nanoseconds in which it waited for a rate, in either direction.
    waited: [u64; 2],
}

/// A connection, shared by its own task and the task that checks all connections.
pub(super) struct Watched {
    endpoint: Arc<Endpoint>,
    /// A [`Cut`], or [`NOT_CUT`].
    cut: AtomicU8,
    state: CurrentState,
    begun: Instant,
    task: AtomicWaker,
    /// Whether to check again if the peer is gone.
    check_peer: AtomicBool,
}

const NOT_CUT: u8 = 0;

/// Why a connection is ended early.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Cut {
    /// No byte was sent in either direction for as long as is allowed.
    Idle = 1,
    /// The server ends now.
    Shutdown = 2,
    /// Nothing more can be sent, and there is nothing left to read.
    HungUp = 3,
    /// It was reset by its number.
    Reset = 4,
}

impl Watch {
    pub fn new(idle_timeout: Option<Duration>, recorder: Recorder) -> Self {
        Self {
            idle_timeout,
            recorder,
            state: Mutex::default(),
        }
    }

    /// Watches the connection with this number of a listener, until the returned value is dropped.
    pub fn add(&self, endpoint: &Arc<Endpoint>, number: u64, listener: &Arc<str>) -> Watching<'_> {
        let now = Instant::now();
        let watched = Arc::new(Watched {
            endpoint: Arc::clone(endpoint),
            cut: AtomicU8::new(NOT_CUT),
            state: CurrentState::new(),
            begun: now,
            task: AtomicWaker::new(),
            check_peer: AtomicBool::new(true),
        });
        let entry = Entry {
            known: Known {
                number,
                listener: Arc::clone(listener),
                begun: now,
            },
            watched: Arc::clone(&watched),
            activity: endpoint.activity(),
            since: now,
            has_hung_up: false,
            counted: [0; 2],
            waited: [0; 2],
        };
        let mut state = self.state();
        if state.killed {
            watched.cut(Cut::Shutdown);
        }
        let key = state.entries.insert(entry);
        drop(state);
        Watching {
            watch: self,
            key,
            watched,
        }
    }

    /// Ends all connections, including future ones.
    pub fn kill(&self) {
        let mut state = self.state();
        state.killed = true;
        for (_, entry) in &state.entries {
            entry.watched.cut(Cut::Shutdown);
        }
    }

    /// Ends the connection with this number. Returns whether there is one.
    pub fn reset(&self, number: u64) -> bool {
        let state = self.state();
        let mut entries = state.entries.iter();
        let found = entries.find(|(_, entry)| entry.known.number == number);
        if let Some((_, entry)) = found {
            entry.watched.cut(Cut::Reset);
        }
        found.is_some()
    }

    /// Returns what is known of each connection.
    pub fn statuses(&self) -> Vec<ConnectionStatus> {
        let now = Instant::now();
        let state = self.state();
        let entries = state.entries.iter();
        // Under the lock: no connection is kept open for this.
        entries
            .map(|(_, Entry { known, watched, .. })| {
                known.status(&watched.endpoint, &watched.state, now)
            })
            .collect()
    }

    /// Checks the connections, for ever.
    pub async fn run(&self) -> Infallible {
        join(self.end_silent(), self.end_hung_up()).await.0
    }

    async fn end_hung_up(&self) -> Infallible {
        let mut checks = interval(HANG_UP_PERIOD);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        loop {
            checks.tick().await;
            self.check_hang_ups();
            self.count_all();
        }
    }

    /// Counts what connections do that are open: some are open for long.
    fn count_all(&self) {
        for (_, entry) in &mut self.state().entries {
            entry.count(&self.recorder);
        }
    }

    fn check_hang_ups(&self) {
        for (_, entry) in &mut self.state().entries {
            let endpoint = &entry.watched.endpoint;
            let has_hung_up = endpoint.plain().has_hung_up() && !endpoint.has_unread();
            if has_hung_up && entry.has_hung_up {
                entry.watched.cut(Cut::HungUp);
            }
            entry.has_hung_up = has_hung_up;
        }
    }

    async fn end_silent(&self) -> Infallible {
        let Some(limit) = self.idle_timeout else {
            return pending().await;
        };
        let period = (limit / CHECKS).max(SHORTEST_PERIOD);
        let mut checks = interval(period);
        checks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut last = Instant::now();
        loop {
            checks.tick().await;
            let now = Instant::now();
            // The process was stopped in the meantime, and what arrived may not have been read yet.
            let stalled = now.duration_since(last).saturating_sub(2 * period);
            self.check_idle(limit, now, stalled);
            last = now;
        }
    }

    /// Checks for idle connections. Time during which the process was `stalled` does not count.
    fn check_idle(&self, limit: Duration, now: Instant, stalled: Duration) {
        for (_, entry) in &mut self.state().entries {
            entry.since = now.min(entry.since + stalled);
            let endpoint = &entry.watched.endpoint;
            let activity = endpoint.activity();
            // Who waits for a rate has something to transfer.
            if activity != entry.activity || endpoint.is_throttled() {
                entry.activity = activity;
                entry.since = now;
            } else if now.duration_since(entry.since) >= limit {
                entry.watched.cut(Cut::Idle);
            }
        }
    }

    fn state(&self) -> MutexGuard<'_, WatchedConnections> {
        // Nothing in there panics halfway.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Entry {
    /// Counts the bytes that were not counted before, and the time in which they waited for a rate.
    fn count(&mut self, recorder: &Recorder) {
        let endpoint = &self.watched.endpoint;
        let bytes = [endpoint.received(), endpoint.sent()];
        count_more(
            recorder,
            [Count::Received, Count::Sent],
            &mut self.counted,
            bytes,
        );
        let waited = [Direction::Receiving, Direction::Sending].map(|direction| {
            let waited = endpoint.throttled(direction).as_nanos();
            u64::try_from(waited).unwrap_or(u64::MAX)
        });
        if self.waited == [0; 2] && waited != [0; 2] {
            recorder.add(Count::Throttled, 1);
        }
        let counts = [Count::ThrottledReceiving, Count::ThrottledSending];
        count_more(recorder, counts, &mut self.waited, waited);
    }
}

/// Counts what there is more of than was counted.
fn count_more(recorder: &Recorder, counts: [Count; 2], counted: &mut [u64; 2], now: [u64; 2]) {
    for ((count, now), counted) in counts.into_iter().zip(now).zip(counted) {
        let more = now.saturating_sub(std::mem::replace(counted, now));
        if more > 0 {
            recorder.add(count, more);
        }
    }
}

impl Watched {
    /// Sets what happens to the connection.
    pub fn enter(&self, state: ConnectionState) {
        self.state.set(state, self.begun.elapsed());
    }

    /// Returns when that has happened.
    pub fn phases(&self) -> ConnectionPhases {
        self.state.phases()
    }

    /// The first reason counts.
    fn cut(&self, cut: Cut) {
        let first =
            self.cut
                .compare_exchange(NOT_CUT, cut as u8, Ordering::Release, Ordering::Relaxed);
        if first.is_ok() {
            self.task.wake();
        }
    }

    fn is_cut(&self) -> Option<Cut> {
        match self.cut.load(Ordering::Acquire) {
            NOT_CUT => None,
            cut if cut == Cut::Idle as u8 => Some(Cut::Idle),
            cut if cut == Cut::HungUp as u8 => Some(Cut::HungUp),
            cut if cut == Cut::Reset as u8 => Some(Cut::Reset),
            _ => Some(Cut::Shutdown),
        }
    }
}

/// Woken when the peer may be gone.
impl Wake for Watched {
    fn wake(self: Arc<Self>) {
        self.check_peer.store(true, Ordering::Release);
        self.task.wake();
    }
}

/// A connection that is being watched.
pub(super) struct Watching<'a> {
    watch: &'a Watch,
    key: usize,
    watched: Arc<Watched>,
}

impl Watching<'_> {
    /// Returns the connection, for its task to say what happens to it.
    pub fn watched(&self) -> &Arc<Watched> {
        &self.watched
    }

    /// Waits until the connection has to end. Only one task can wait.
    pub fn poll_cut_short(&mut self, cx: &mut Context<'_>) -> Poll<Cut> {
        if let Some(cut) = self.watched.is_cut() {
            return Poll::Ready(cut);
        }
        // Each time: whoever wakes it, also for a peer that may be gone, takes the waker.
        self.watched.task.register(cx.waker());
        // It may have been ended in between.
        match self.watched.is_cut() {
            Some(cut) => Poll::Ready(cut),
            None => Poll::Pending,
        }
    }
}

impl Watching<'_> {
    /// Waits until the peer is gone, as reported by `gone`, which is polled only after something has
    /// happened. Call this after [`poll_cut_short`](Self::poll_cut_short), which registers the task to be
    /// woken.
    pub fn poll_peer_gone(&self, gone: Pin<&mut impl Future<Output = ()>>) -> Poll<()> {
        if !self.watched.check_peer.load(Ordering::Relaxed) {
            return Poll::Pending;
        }
        self.watched.check_peer.store(false, Ordering::Release);
        let waker = Waker::from(Arc::clone(&self.watched));
        gone.poll(&mut Context::from_waker(&waker))
    }
}

impl Drop for Watching<'_> {
    fn drop(&mut self) {
        let mut entry = self.watch.state().entries.remove(self.key);
        entry.count(&self.watch.recorder);
        // Not under the lock: this may be the last reference to the endpoint.
        drop(entry);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sockets::Plain;
    use std::future::poll_fn;
    use std::io::Write;
    use tokio::net::TcpListener;

    const LIMIT: Duration = Duration::from_secs(60);

    /// Returns a connection and its peer.
    async fn connection() -> (Arc<Endpoint>, std::net::TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a listener");
        let address = listener.local_addr().expect("its address");
        let peer = std::net::TcpStream::connect(address).expect("connected");
        let (stream, address) = listener.accept().await.expect("accepted");
        let plain = Plain::tcp(stream.into_std().expect("a socket"));
        (Arc::new(Endpoint::new(plain, address)), peer)
    }

    fn added<'a>(watch: &'a Watch, endpoint: &Arc<Endpoint>) -> Watching<'a> {
        let number = watch.state().entries.len() as u64 + 1;
        watch.add(endpoint, number, &Arc::from("listener"))
    }

    async fn cut_short(watching: &mut Watching<'_>) -> Cut {
        poll_fn(|cx| watching.poll_cut_short(cx)).await
    }

    #[tokio::test]
    async fn silence_is_counted_from_the_last_byte_that_was_seen() {
        let watch = Watch::new(Some(LIMIT), Recorder::default());
        let (endpoint, mut peer) = connection().await;
        let mut watching = added(&watch, &endpoint);
        let begin = Instant::now();
        watch.check_idle(LIMIT, begin + LIMIT / 2, Duration::ZERO);
        peer.write_all(b"x").expect("sent");
        let mut buffer = [0; 8];
        poll_fn(|cx| endpoint.poll_readable(cx))
            .await
            .expect("a byte");
        assert_eq!(endpoint.try_recv(&mut buffer).expect("received"), 1);

        watch.check_idle(LIMIT, begin + LIMIT, Duration::ZERO);
        watch.check_idle(LIMIT, begin + LIMIT + LIMIT / 2, Duration::ZERO);
        assert_eq!(watching.watched.is_cut(), None);
        watch.check_idle(LIMIT, begin + 2 * LIMIT, Duration::ZERO);
        assert_eq!(cut_short(&mut watching).await, Cut::Idle);
    }

    #[tokio::test]
    async fn the_time_in_which_nobody_could_be_served_is_no_silence() {
        let watch = Watch::new(Some(LIMIT), Recorder::default());
        let (endpoint, _peer) = connection().await;
        let mut watching = added(&watch, &endpoint);
        let begin = Instant::now();
        watch.check_idle(LIMIT, begin + 3 * LIMIT, 3 * LIMIT);
        assert_eq!(watching.watched.is_cut(), None);
        watch.check_idle(LIMIT, begin + 4 * LIMIT, Duration::ZERO);
        assert_eq!(cut_short(&mut watching).await, Cut::Idle);
    }

    #[tokio::test]
    async fn a_peer_that_may_be_gone_takes_nothing_from_the_end() {
        let watch = Watch::new(Some(LIMIT), Recorder::default());
        let (endpoint, _peer) = connection().await;
        let mut watching = added(&watch, &endpoint);
        let watched = Arc::clone(&watching.watched);
        let (woken, waker) = counting();
        let mut cx = Context::from_waker(&waker);
        assert!(watching.poll_cut_short(&mut cx).is_pending());
        Arc::clone(&watched).wake();
        assert!(watching.poll_cut_short(&mut cx).is_pending());
        let before = woken.load(Ordering::Relaxed);
        watched.cut(Cut::Idle);
        assert_eq!(woken.load(Ordering::Relaxed), before + 1);
    }

    /// A waker that counts.
    fn counting() -> (Arc<AtomicU8>, Waker) {
        struct Counting(Arc<AtomicU8>);
        impl Wake for Counting {
            fn wake(self: Arc<Self>) {
                self.0.fetch_add(1, Ordering::Relaxed);
            }
        }
        let woken = Arc::<AtomicU8>::default();
        let waker = Waker::from(Arc::new(Counting(Arc::clone(&woken))));
        (woken, waker)
    }

    #[tokio::test]
    async fn the_end_of_the_server_is_for_all_that_are_there_and_all_that_come() {
        let watch = Watch::new(None, Recorder::default());
        let (first, _peer) = connection().await;
        let (second, _peer) = connection().await;
        let mut watching = added(&watch, &first);
        watch.kill();
        assert_eq!(cut_short(&mut watching).await, Cut::Shutdown);
        assert_eq!(cut_short(&mut added(&watch, &second)).await, Cut::Shutdown);
        watch.check_idle(LIMIT, Instant::now() + 2 * LIMIT, Duration::ZERO);
        assert_eq!(cut_short(&mut watching).await, Cut::Shutdown);
        drop(watching);
        assert!(watch.state().entries.is_empty());
    }

    #[tokio::test]
    async fn one_connection_is_reset_by_its_number() {
        let watch = Watch::new(None, Recorder::default());
        let (first, _peer) = connection().await;
        let (second, _peer) = connection().await;
        let (one, mut two) = (added(&watch, &first), added(&watch, &second));
        two.watched().enter(ConnectionState::Lingering);
        let mut numbers: Vec<_> = watch
            .statuses()
            .iter()
            .map(|status| (status.number, status.state))
            .collect();
        numbers.sort_by_key(|(number, _)| *number);
        assert_eq!(
            numbers,
            [
                (1, ConnectionState::Handshake),
                (2, ConnectionState::Lingering)
            ]
        );
        assert!(!watch.reset(3));
        assert!(watch.reset(2));
        assert_eq!(cut_short(&mut two).await, Cut::Reset);
        assert_eq!(one.watched.is_cut(), None);
    }
}
