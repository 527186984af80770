//! The life of a server, from the moment when all workers accept connections to the end of the last worker.

mod admin;
mod order;
mod reload;
mod succession;

use super::Generation;
use super::backoff::{self, Backoff};
use super::source::Source;
use super::workers::{Ended, Happened, Workers};
use crate::admin::Readiness;
use crate::args::NamedListening;
use crate::server::Plan;
use crate::sys::signals::StopSignals;
use crate::sys::systemd;
use crate::traces::Exporting;
use evconn::{Metrics, Opened, Served, sockets};
pub use order::Order;
use reload::{Reload, Requests, loaded};
use std::io;
use std::sync::Arc;
use std::time::{Duration, Instant};
pub use succession::{Estate, Loan};
use tokio::sync::{Notify, mpsc, watch};

/// How often to check whether a worker was stopped (SIGSTOP) while it had the lock of the shared memory.
const CHECK_INTERVAL: Duration = Duration::from_millis(500);

/// How long workers may take to end after they were told to reset their connections.
const KILL_DELAY: Duration = Duration::from_secs(2);

/// A running server.
pub struct Life {
    plan: Arc<Plan>,
    source: Source,
    listening: Vec<NamedListening>,
    pub workers: Workers,
    generation: Arc<Generation>,
    processes: usize,
    backoff: Backoff,
    phase: Phase,
    reload: Reload,
    requests: Requests,
    first_process: u16,
    beacon: Beacon,
    exporting: Option<Exporting>,
    /// Whether the admin endpoint has begun the shutdown, and no signal has arrived since.
    is_asked_to_stop: bool,
    /// How many connections have ended with a worker that was killed at the end.
    killed: u64,
}

/// What a running server begins with.
pub struct Beginning {
    pub plan: Arc<Plan>,
    pub source: Source,
    pub listening: Vec<NamedListening>,
    pub workers: Workers,
    pub generation: Arc<Generation>,
    pub processes: usize,
    /// The number of its first process, as metrics have it.
    pub first_process: u16,
    pub beacon: Beacon,
    /// Its traces, if they are sent anywhere.
    pub exporting: Option<Exporting>,
}

/// Where a server tells its supervisor whether it is ready.
pub struct Beacon {
    readiness: watch::Sender<Readiness>,
    /// Notified after each change.
    changed: Arc<Notify>,
}

impl Beacon {
    pub fn new(changed: Arc<Notify>) -> (Self, watch::Receiver<Readiness>) {
        let (readiness, watched) = watch::channel(Readiness::Starting);
        (Self { readiness, changed }, watched)
    }

    fn set(&self, readiness: Readiness) {
        let is_new = |old: &mut Readiness| std::mem::replace(old, readiness) != readiness;
        if self.readiness.send_if_modified(is_new) {
            self.changed.notify_one();
        }
    }
}

/// The phase of the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Phase {
    Serving,
    /// It continues to accept until this time, and drains then. None: the delay is longer than time can be measured.
    Delayed(Option<Instant>),
    /// The workers finish their connections, until this time.
    Draining(Option<Instant>),
    /// Another server has taken its place. The workers finish their connections.
    Replaced,
    /// The workers are resetting their connections. Those that are left at this time are killed.
    Ending(Instant),
}

impl Life {
    pub fn new(beginning: Beginning) -> Self {
        let Beginning {
            plan,
            source,
            listening,
            workers,
            generation,
            processes,
            first_process,
            beacon,
            exporting,
        } = beginning;
        Self {
            requests: Requests::new(plan.name.clone()),
            plan,
            source,
            listening,
            workers,
            generation,
            processes,
            backoff: Backoff::default(),
            phase: Phase::Serving,
            reload: Reload::None,
            first_process,
            beacon,
            exporting,
            is_asked_to_stop: false,
            killed: 0,
        }
    }

    /// Returns the metrics of all workers, with the name of the service if there are several.
    pub fn metrics(&self) -> Metrics {
        let metrics = self.workers.quota().metrics();
        let metrics = metrics.with_first_process(self.first_process);
        match self.plan.name() {
            Some(name) => metrics.of_service(name),
            None => metrics,
        }
    }

    /// Whether all workers accept connections.
    pub fn has_all(&self) -> bool {
        self.workers.count_ready(&self.generation) >= self.processes
    }

    /// Starts the workers that are missing.
    pub fn start_missing(&mut self) -> io::Result<()> {
        while self.workers.count(&self.generation) < self.processes {
            self.workers.start(&self.generation)?;
        }
        Ok(())
    }

    /// Serves until a signal ends it, or no connection has been open for long enough.
    pub async fn run(mut self, stops: StopSignals, mut orders: mpsc::Receiver<Order>) -> Served {
        let mut stopped = 0;
        while !self.is_over() {
            self.report_readiness();
            self.begin_asked_reload();
            let time = self.next_time();
            let next_stop = stops.stop_after(stopped);
            tokio::select! {
                () = next_stop => {
                    stopped += 1;
                    self.stop_at_signal();
                }
                Some(order) = orders.recv() => self.obey(order),
                happened = self.workers.next() => self.handle(happened),
                reloaded = loaded(&mut self.reload) => self.start_generation(reloaded),
                () = tokio::time::sleep_until(time.into()) => self.on_timer(),
            }
        }
        self.workers.end_logs().await;
        let served = self.served();
        tracing::info!(service = self.plan.name(), "{served}");
        if let Some(exporting) = self.exporting.take() {
            // With the last sender of traces.
            drop(self);
            exporting.end().await;
        }
        served
    }

    /// Returns the name of each listener, and that of the service.
    pub fn listeners(&self) -> impl Iterator<Item = (&str, Option<&str>)> {
        let listening = self.listening.iter();
        let names = listening.map(|named| &*named.listening.name);
        names.map(|name| (name, self.plan.name()))
    }

    fn served(&self) -> Served {
        let mut served = self.workers.quota().served();
        // The quota counts what ends with a worker as failed.
        served.failed = served.failed.saturating_sub(self.killed);
        served.killed += self.killed;
        served
    }

    /// Whether it accepts connections.
    fn is_serving(&self) -> bool {
        matches!(self.phase, Phase::Serving | Phase::Delayed(_))
    }

    fn is_over(&self) -> bool {
        let is_ending = matches!(
            self.phase,
            Phase::Draining(_) | Phase::Ending(_) | Phase::Replaced
        );
        is_ending && self.workers.is_empty()
    }

    fn handle(&mut self, happened: Happened) {
        match happened {
            Happened::Ready => self.one_is_ready(),
            Happened::Stopped => self.one_has_stopped(),
            Happened::Ended(ended) => self.one_has_ended(ended),
        }
    }

    fn one_is_ready(&mut self) {
        match self.phase {
            // It replaces one that died while draining.
            Phase::Draining(_) => self.workers.drain(),
            Phase::Ending(_) => self.workers.end(),
            Phase::Replaced => self.workers.give_up_all(|_| true),
            Phase::Serving | Phase::Delayed(_) => self.go_on_with_reload(),
        }
    }

    fn one_has_stopped(&mut self) {
        match (&self.reload, self.phase) {
            (Reload::Retiring(..), _) if !self.workers.are_stopping() => self.end_reload(),
            // The queues are empty, and nobody can connect any more.
            (_, Phase::Draining(_)) if self.workers.have_stopped() => self.close(),
            _ => {}
        }
    }

    /// Closes the listening sockets and removes their files.
    fn close(&mut self) {
        self.workers.close_sockets();
        self.listening.clear();
    }

    fn one_has_ended(&mut self, ended: Ended) {
        if ended.is_regular {
            tracing::debug!(
                service = self.plan.name(),
                "worker {} has ended",
                ended.number
            );
            return self.one_has_stopped();
        }
        if self.fail_reload(&ended) {
            return;
        }
        log_death(self.plan.name(), &ended);
        match self.phase {
            Phase::Serving | Phase::Delayed(_) => self.replace_later(&ended),
            // Connections may wait in the queues.
            Phase::Draining(_) if ended.was_accepting && self.workers.have_stopped() => {
                self.replace();
            }
            Phase::Draining(_) | Phase::Replaced => {}
            Phase::Ending(_) => self.killed += ended.connections as u64,
        }
        self.one_has_stopped();
    }

    /// Replaces a worker that has died, unless those of a reload have taken its place.
    fn replace_later(&mut self, ended: &Ended) {
        if !Arc::ptr_eq(&ended.generation, &self.generation) {
            return;
        }
        let nobody_serves = self.workers.count_ready(&self.generation) == 0;
        let most = match ended.was_ready && nobody_serves {
            true => backoff::SHORT_DELAY,
            false => backoff::MAX_DELAY,
        };
        let delay = self.backoff.died(ended.lived, most, Instant::now());
        if delay.is_zero() {
            self.replace();
        } else {
            tracing::info!(
                service = self.plan.name(),
                "another worker is started in {delay:?}"
            );
        }
    }

    /// Starts the workers that are missing, or tries again later.
    fn replace(&mut self) {
        if let Err(error) = self.start_missing() {
            let delay = self
                .backoff
                .died(Duration::ZERO, backoff::MAX_DELAY, Instant::now());
            tracing::error!(
                service = self.plan.name(),
                "cannot start a worker, next attempt in {delay:?}: {error}"
            );
        }
    }

    fn stop_at_signal(&mut self) {
        // The first one asks for what was asked for already.
        if !std::mem::take(&mut self.is_asked_to_stop) {
            self.stop();
        }
    }

    /// Begins to shut down at the first call. The second one ends the grace period.
    fn stop(&mut self) {
        let now = Instant::now();
        match self.phase {
            Phase::Serving => {
                // If only the end of old workers is missing, the reload has had its effect.
                self.end_reload();
                self.log_ending();
                self.give_up_reload();
                self.phase = Phase::Delayed(now.checked_add(self.plan.server.life.drain_delay));
                self.on_timer();
            }
            Phase::Replaced => {
                self.phase = Phase::Draining(now.checked_add(self.plan.server.life.grace));
            }
            Phase::Delayed(_) | Phase::Draining(_) => self.end(),
            Phase::Ending(_) => {}
        }
    }

    fn log_ending(&self) {
        let life = &self.plan.server.life;
        let open = self.workers.quota().open_connections();
        let delay = match life.drain_delay {
            Duration::ZERO => String::new(),
            delay => format!(", after {delay:?} in which more are accepted"),
        };
        tracing::info!(
            service = self.plan.name(),
            "ending: open connections ({open}) have {:?} to finish{delay}",
            life.grace
        );
    }

    fn drain(&mut self) {
        // A worker may not be allowed to.
        self.listening.iter().for_each(refuse_connections);
        self.workers.drain();
        // From now on, nobody can find the Unix sockets.
        self.listening.iter_mut().for_each(remove_files);
        self.phase = Phase::Draining(Instant::now().checked_add(self.plan.server.life.grace));
    }

    /// Ends without waiting for open connections.
    fn end(&mut self) {
        self.close();
        self.workers.end();
        self.phase = Phase::Ending(Instant::now() + KILL_DELAY);
    }

    /// Returns when [`on_timer`](Self::on_timer) is due.
    fn next_time(&self) -> Instant {
        let check = Instant::now() + CHECK_INTERVAL;
        let of_phase = match self.phase {
            Phase::Serving => self.end_of_idle_time(),
            Phase::Ending(until) => Some(until),
            Phase::Delayed(until) | Phase::Draining(until) => until,
            Phase::Replaced => None,
        };
        let of_reload = self.end_of_reload();
        let backoff = self.backoff.until().filter(|until| *until > Instant::now());
        let times = [of_phase, of_reload, backoff].into_iter().flatten();
        times.fold(check, Instant::min)
    }

    /// Returns when the server will have been idle for long enough to shut down, if no connection is opened.
    fn end_of_idle_time(&self) -> Option<Instant> {
        let time = self.plan.server.life.shutdown_after_idle?;
        let idle_for = self.workers.quota().idle_for().unwrap_or_default();
        Instant::now().checked_add(time.saturating_sub(idle_for))
    }

    fn on_timer(&mut self) {
        let now = Instant::now();
        match self.phase {
            Phase::Serving if self.has_been_idle() => self.stop(),
            Phase::Delayed(Some(until)) if until <= now => self.drain(),
            Phase::Draining(Some(until)) if until <= now => self.end(),
            Phase::Ending(until) if until <= now => {
                self.workers.kill_all();
                // A process that the kernel keeps is looked at again later.
                self.phase = Phase::Ending(now + CHECK_INTERVAL);
            }
            _ => {}
        }
        self.look_at_clock_of_reload(now);
        if self.is_serving() && self.backoff.is_over(now) && !self.is_starting_a_generation() {
            self.replace();
        }
        self.workers.rotate_tickets(now);
        self.end_stuck_worker();
        systemd::is_alive();
    }

    fn has_been_idle(&self) -> bool {
        let idle_for = self.workers.quota().idle_for();
        let limit = self.plan.server.life.shutdown_after_idle;
        limit
            .zip(idle_for)
            .is_some_and(|(limit, time)| time >= limit)
    }

    /// Kills a worker that was stopped while it had the lock of the shared memory, since all others wait for it.
    fn end_stuck_worker(&self) {
        if let Some(member) = self.workers.quota().stuck()
            && let Some(process) = self.workers.kill_member(member)
        {
            tracing::error!(
                service = self.plan.name(),
                "killing a worker (process {process}): it was stopped while the others wait for it"
            );
        }
    }
}

fn remove_files(NamedListening { listening, .. }: &mut NamedListening) {
    listening.sockets.iter_mut().for_each(Opened::remove_file);
}

/// Lets no more peers connect, except to a socket that other servers may have.
fn refuse_connections(NamedListening { listening, .. }: &NamedListening) {
    // Workers need no privilege for a Unix socket, and notice at once that it refuses.
    let is_own_tcp = |socket: &&Opened| matches!(socket, Opened::Tcp { shared: false, .. });
    let own = listening.sockets.iter().filter(is_own_tcp);
    for socket in own.filter_map(Opened::socket) {
        if let Err(error) = sockets::refuse_connections(socket) {
            // Those that wait in the queue are served all the same.
            tracing::debug!("peers may still connect while the server ends: {error}");
        }
    }
}

fn log_death(service: Option<&str>, ended: &Ended) {
    let Ended {
        number,
        process,
        how,
        connections,
        ..
    } = ended;
    let lost = match connections {
        0 => String::new(),
        1 => ", and its connection is lost".to_owned(),
        count => format!(", and its {count} connections are lost"),
    };
    tracing::error!(service, "worker {number} (process {process}) {how}{lost}");
}
