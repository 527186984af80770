//! A script is run: each operation is done to the component and to the model, which must agree.

use super::super::instance::Stats;
use super::oracle::{Fate, Oracle, Peer};
use super::script::{Ending, Operation, Script, Timeout};
use super::subject::{DEADLINE, Subject};
use crate::support::descriptors;
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// The callback that is set in the end: no script has it.
const LAST_CALLBACK: u64 = 1_000;

/// How long one wait of a loop with a deadline is.
const TURN: Duration = Duration::from_millis(20);

/// What happened in the scripts, to see that they do what they are for.
#[derive(Debug, Default)]
#[allow(dead_code, reason = "the fields are read by `Debug`")]
pub struct Tally {
    scripts: u64,
    operations: u64,
    clients: u64,
    delivered: u64,
    /// Those that `next-events` returned.
    by_next_events: u64,
    /// Peers that had reset before they were delivered, and what came of them.
    reset: u64,
    reset_delivered: u64,
    reset_aborted: u64,
    reset_peer_errors: u64,
    /// Those that accept never returned, in scripts that end when all has been accepted.
    reset_unseen: u64,
    /// Held connections that `into-sockets` closed.
    closed_when_held: u64,
    stopped: u64,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.scripts += other.scripts;
        self.operations += other.operations;
        self.clients += other.clients;
        self.delivered += other.delivered;
        self.by_next_events += other.by_next_events;
        self.reset += other.reset;
        self.reset_delivered += other.reset_delivered;
        self.reset_aborted += other.reset_aborted;
        self.reset_peer_errors += other.reset_peer_errors;
        self.reset_unseen += other.reset_unseen;
        self.closed_when_held += other.closed_when_held;
        self.stopped += other.stopped;
    }
}

/// Runs a script to its end, or to the first thing that the model does not allow.
pub async fn run(script: &Script) -> Result<Tally> {
    let mut run = Run {
        subject: Subject::new(&script.setup).await.context("at the start")?,
        oracle: Oracle::new(&script.setup),
        tally: Tally::default(),
    };
    run.check_state().await.context("at the start")?;
    for (number, operation) in script.operations.iter().enumerate() {
        let at = || format!("{}. {operation:?}", number + 1);
        // The kernel's news are fetched when a task yields: without it, readiness would be seen
        // by the operations that wait, and by no other.
        tokio::task::yield_now().await;
        run.perform(operation).await.with_context(at)?;
        run.check_state().await.with_context(at)?;
    }
    run.end(script.ending).await.context("the end")?;
    run.tally.scripts = 1;
    run.tally.operations = script.operations.len() as u64;
    Ok(run.tally)
}

struct Run {
    subject: Subject,
    oracle: Oracle,
    tally: Tally,
}

impl Run {
    async fn perform(&mut self, operation: &Operation) -> Result<()> {
        match *operation {
            Operation::Enable => self.enable().await?,
            Operation::Disable => {
                self.subject.disable().await;
                self.oracle.disable();
            }
            Operation::SetCallback(callback) => self.set_callback(callback).await,
            Operation::SetErrorCallback(callback) => {
                self.subject.set_error_callback(callback).await;
                self.oracle.set_error_callback(callback);
            }
            Operation::Connects { socket, .. } => self.connect(socket)?,
            Operation::Resets { client } => self.reset(client),
            Operation::Sends { client } => {
                let sent = self.subject.send(client);
                self.spoke(client, sent)?;
            }
            Operation::EndsItsSide { client } => {
                let ended = self.subject.end_its_side(client);
                self.spoke(client, ended)?;
            }
            Operation::NextEvents { max } => self.next_events(max).await?,
            Operation::WaitEvents { max, timeout } => self.wait_events(max, timeout).await?,
            Operation::Subscribe => self.subscribe().await?,
            Operation::Stats => {
                self.stats().await?;
            }
            Operation::Retry => self.subject.retry().await,
            Operation::TakeApartAndPutTogether => {
                let stats = self.stats().await?;
                self.count_lost(&stats);
                self.subject.take_apart_and_put_together().await?;
                self.oracle.taken_apart(&stats);
            }
            Operation::LocalAddresses => {
                let addresses = self.subject.local_addresses().await?;
                ensure!(addresses == self.subject.addresses, "{addresses:?}");
            }
        }
        Ok(())
    }

    async fn enable(&mut self) -> Result<()> {
        self.subject.enable().await?;
        self.oracle.enable();
        Ok(())
    }

    async fn set_callback(&mut self, callback: Option<u64>) {
        self.subject.set_callback(callback).await;
        self.oracle.set_callback(callback);
    }

    async fn check_state(&mut self) -> Result<()> {
        let state = self.subject.state().await;
        self.oracle.check_state(&state)
    }

    async fn stats(&mut self) -> Result<Stats> {
        let stats = self.subject.stats().await;
        self.oracle.check_stats(&stats)?;
        Ok(stats)
    }

    fn connect(&mut self, socket: usize) -> Result<()> {
        let address = self.subject.connect(socket)?;
        self.oracle.peers.push(Peer::new(address, socket));
        self.tally.clients += 1;
        Ok(())
    }

    fn reset(&mut self, client: usize) {
        self.subject.reset(client);
        let peer = &mut self.oracle.peers[client];
        peer.is_gone = true;
        self.tally.reset += u64::from(peer.fate != Fate::Delivered);
    }

    /// A client has sent something or has ended its side, or could not.
    fn spoke(&mut self, client: usize, result: Result<()>) -> Result<()> {
        let peer = &mut self.oracle.peers[client];
        match result {
            // It was held when the listener was taken apart.
            Err(_) if peer.fate == Fate::WaitsOrClosed => {}
            result => result?,
        }
        peer.is_readable = true;
        Ok(())
    }

    async fn next_events(&mut self, max: u32) -> Result<()> {
        let reports = self.subject.next_events(max).await?;
        self.tally.by_next_events += reports.len() as u64;
        self.oracle.taken(max, reports)
    }

    async fn wait_events(&mut self, max: u32, timeout: Timeout) -> Result<()> {
        let timeout = match timeout {
            Timeout::Milliseconds(timeout) => Some(Duration::from_millis(timeout)),
            Timeout::IfSafeNone if self.oracle.ends_waiting(max) => None,
            Timeout::IfSafeNone => Some(Duration::from_millis(1)),
        };
        let must_return = timeout.is_none() && max > 0 && self.oracle.has_events();
        let start = Instant::now();
        let reports = self.subject.wait_events(max, timeout).await?;
        if reports.is_empty() && max > 0 {
            ensure!(!must_return, "it returns nothing, without a timeout");
            let waited = start.elapsed();
            ensure!(waited >= timeout.unwrap_or_default(), "only {waited:?}");
        }
        self.oracle.taken(max, reports)
    }

    async fn subscribe(&mut self) -> Result<()> {
        let held = self.stats().await?.held;
        let expected = self.oracle.pollables(held);
        let must_be_ready = self.oracle.has_events();
        let patience = if must_be_ready {
            DEADLINE
        } else {
            Duration::ZERO
        };
        let (count, is_ready) = self.subject.subscribe(patience).await;
        ensure!(count == expected, "{count} pollables, not {expected}");
        ensure!(is_ready || !must_be_ready, "no pollable becomes ready");
        Ok(())
    }

    async fn end(&mut self, ending: Ending) -> Result<()> {
        match ending {
            Ending::Drained => self.drain().await?,
            Ending::Dropped => self.drop_with_peers().await?,
            Ending::Broken => self.break_first_socket().await?,
        }
        let peers = self.oracle.peers.iter();
        let delivered = peers.clone().filter(|peer| peer.fate == Fate::Delivered);
        self.tally.delivered = delivered.count() as u64;
        self.tally.reset_delivered = self.oracle.delivered_after_reset;
        Ok(())
    }

    /// Everybody who still waits is delivered, and one last client for each socket.
    async fn drain(&mut self) -> Result<()> {
        for socket in 0..self.subject.addresses.len() {
            self.connect(socket)?;
        }
        self.turn_on().await?;
        let deadline = Instant::now() + DEADLINE;
        while let Some(client) = self.first_waiting()? {
            ensure!(Instant::now() < deadline, "client {client} still waits");
            self.wait_events_for_a_turn().await?;
        }
        let stats = self.stats().await?;
        self.check_lost(&stats)?;
        self.drop_with_peers().await
    }

    /// Makes everything deliverable: everybody has sent something, and the listener is accepting.
    async fn turn_on(&mut self) -> Result<()> {
        for client in 0..self.oracle.peers.len() {
            let peer = &self.oracle.peers[client];
            if !peer.is_readable && !peer.is_gone {
                let sent = self.subject.send(client);
                self.spoke(client, sent)?;
            }
        }
        self.set_callback(Some(LAST_CALLBACK)).await;
        self.enable().await?;
        self.check_state().await
    }

    async fn wait_events_for_a_turn(&mut self) -> Result<()> {
        let reports = self.subject.wait_events(4, Some(TURN)).await?;
        self.oracle.taken(4, reports)?;
        self.check_state().await
    }

    /// The first client that has still to be delivered.
    fn first_waiting(&self) -> Result<Option<usize>> {
        for (client, peer) in self.oracle.peers.iter().enumerate() {
            let may_be_closed = peer.fate == Fate::WaitsOrClosed && !peer.is_gone;
            if peer.is_owed() || (may_be_closed && !self.subject.has_ended(client)?) {
                return Ok(Some(client));
            }
        }
        Ok(None)
    }

    /// What became of those that were not delivered, now that all have been accepted.
    fn check_lost(&mut self, stats: &Stats) -> Result<()> {
        self.count_lost(stats);
        let peers = &self.oracle.peers;
        let closed = peers
            .iter()
            .filter(|peer| peer.fate == Fate::WaitsOrClosed && !peer.is_gone);
        let (closed, held) = (closed.count() as u64, self.oracle.closed);
        ensure!(closed <= held, "{closed} were closed, only {held} held");
        let unseen = peers.len() as u64 - self.oracle.dealt_with(stats);
        self.tally.closed_when_held = held;
        self.tally.reset_unseen = unseen;
        Ok(())
    }

    fn count_lost(&mut self, stats: &Stats) {
        self.tally.reset_aborted += stats.aborted;
        self.tally.reset_peer_errors += stats.peer_errors;
    }

    /// Whoever waits sees an end, and whoever was delivered does not.
    async fn drop_with_peers(&mut self) -> Result<()> {
        self.subject.drop_listener().await;
        for (client, peer) in self.oracle.peers.iter().enumerate() {
            if peer.is_gone {
                continue;
            }
            if peer.fate == Fate::Delivered {
                let has_ended = self.subject.has_ended(client)?;
                ensure!(!has_ended, "client {client} was delivered, and is closed");
            } else {
                self.subject.wait_for_end(client)?;
            }
        }
        Ok(())
    }

    /// The first socket breaks: the listener stops, and says so to the error callback, if any.
    async fn break_first_socket(&mut self) -> Result<()> {
        self.turn_on().await?;
        descriptors::break_listening(self.subject.addresses[0]);
        self.oracle.breaks(0);
        let deadline = Instant::now() + DEADLINE;
        while !self.oracle.is_stopped() {
            ensure!(Instant::now() < deadline, "it does not stop");
            self.wait_events_for_a_turn().await?;
        }
        self.tally.stopped = 1;
        // Nothing leads out of that, and there is nothing to wait for.
        let enabled = self.subject.enable().await;
        ensure!(enabled == Err(ErrorCode::InvalidState), "{enabled:?}");
        self.set_callback(Some(LAST_CALLBACK)).await;
        self.wait_events(4, Timeout::IfSafeNone).await?;
        self.next_events(4).await?;
        self.check_state().await?;
        let (pollables, _) = self.subject.subscribe(Duration::ZERO).await;
        ensure!(pollables == 0, "{pollables} pollables");
        self.stats().await?;
        Ok(())
    }
}
