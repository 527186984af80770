//! The model: what `wit/SEMANTICS.md` allows, without a socket. It is written from that page.
//!
//! Where the page leaves something open, so does the model: when `next-events` sees a peer that
//! waits, which of the connections are held, and what becomes of a peer that resets in the queue. On
//! Linux accept still returns such a peer, but its address can no longer be read (`aborted`), unless
//! it was accepted and held before it reset: then it is delivered.

use super::super::instance::{State, Stats};
use super::script::Setup;
use anyhow::{Result, bail, ensure};
use std::net::SocketAddr;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// The listener and its peers.
pub struct Oracle {
    setup: Setup,
    enabled: bool,
    callback: Option<u64>,
    error_callback: Option<u64>,
    /// A socket can no longer accept. The listener stops when it finds that out.
    broken: bool,
    stopped: bool,
    /// In the order in which they connected.
    pub peers: Vec<Peer>,
    /// How many were delivered since the listener was made.
    accepted: u64,
    /// How many had been dealt with when the listener was last made.
    before: u64,
    /// How many were closed unseen, because they were held.
    pub closed: u64,
    /// How many were delivered although they had reset.
    pub delivered_after_reset: u64,
}

/// Whoever has connected.
pub struct Peer {
    pub address: SocketAddr,
    pub socket: usize,
    /// It has sent something, or ended its side.
    pub is_readable: bool,
    /// It has reset, or the kernel has reset it.
    pub is_gone: bool,
    pub fate: Fate,
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// It is in the queue, or held.
    Waits,
    /// The same, or it was closed because it was held.
    WaitsOrClosed,
    Delivered,
}

/// An event, without the connection.
pub enum Report {
    Connection { callback: u64, peer: SocketAddr },
    Stopped { callback: u64, code: ErrorCode },
}

impl Peer {
    pub fn new(address: SocketAddr, socket: usize) -> Self {
        Self {
            address,
            socket,
            is_readable: false,
            is_gone: false,
            fate: Fate::Waits,
        }
    }

    /// It has not been delivered, and nothing has happened to it that the model knows of.
    pub fn is_owed(&self) -> bool {
        self.fate == Fate::Waits && !self.is_gone
    }
}

impl Oracle {
    pub fn new(setup: &Setup) -> Self {
        Self {
            enabled: setup.enabled,
            callback: setup.callback,
            setup: setup.clone(),
            error_callback: None,
            broken: false,
            stopped: false,
            peers: Vec::new(),
            accepted: 0,
            before: 0,
            closed: 0,
            delivered_after_reset: 0,
        }
    }

    /// Section 1: the facts are independent.
    pub fn enable(&mut self) {
        self.enabled = true;
    }

    pub fn disable(&mut self) {
        self.enabled = false;
    }

    pub fn set_callback(&mut self, callback: Option<u64>) {
        self.callback = callback;
    }

    pub fn set_error_callback(&mut self, callback: Option<u64>) {
        self.error_callback = callback;
    }

    /// Section 7: whoever is held is closed, and a new listener starts afresh.
    pub fn taken_apart(&mut self, stats: &Stats) {
        if stats.held > 0 {
            let waiting = self.peers.iter_mut().filter(|peer| peer.is_owed());
            waiting.for_each(|peer| peer.fate = Fate::WaitsOrClosed);
        }
        self.closed += u64::from(stats.held);
        self.before += dealt_with(stats);
        self.accepted = 0;
        self.enabled = self.setup.enabled;
        self.callback = self.setup.callback;
        self.error_callback = None;
    }

    /// A socket was shut down: its queue is reset, and accepting from it fails for good.
    pub fn breaks(&mut self, socket: usize) {
        self.broken = true;
        let queued = self.peers.iter_mut().filter(|peer| peer.socket == socket);
        queued.for_each(|peer| peer.is_gone = true);
    }

    /// Section 1: the first state that applies.
    pub fn check_state(&mut self, state: &State) -> Result<()> {
        if self.broken && self.error_callback.is_none() && matches!(state, State::Stopped(_)) {
            // Nobody was told when that happened.
            self.stopped = true;
        }
        let (expected, is_right) = if self.stopped {
            let code = ErrorCode::InvalidArgument;
            ("stopped", matches!(state, State::Stopped(c) if *c == code))
        } else if !self.enabled {
            ("disabled", matches!(state, State::Disabled))
        } else if self.callback.is_none() {
            ("paused", matches!(state, State::Paused))
        } else {
            ("accepting", matches!(state, State::Accepting))
        };
        ensure!(is_right, "the state is {state:?} instead of {expected}");
        Ok(())
    }

    pub fn is_stopped(&self) -> bool {
        self.stopped
    }

    /// Returns whether anything can be taken.
    pub fn is_accepting(&self) -> bool {
        self.enabled && self.callback.is_some() && !self.stopped
    }

    /// Returns whether a wait without a timeout ends for certain.
    pub fn ends_waiting(&self, max: u32) -> bool {
        max == 0 || !self.is_accepting() || self.has_events()
    }

    /// Returns whether somebody can be delivered for certain, now or when the host gets to it.
    pub fn has_events(&self) -> bool {
        let owed = |peer: &&Peer| peer.is_owed();
        match self.setup.max_held {
            None => self.is_accepting() && self.peers.iter().any(|peer| peer.is_owed()),
            Some(max_held) => {
                // Silent ones may fill all the room there is, and then nobody behind them is seen.
                let silent = |peer: &&Peer| {
                    peer.fate != Fate::Delivered && !peer.is_readable && !peer.is_gone
                };
                let has_room = self.peers.iter().filter(silent).count() < max_held as usize;
                let mut owed = self.peers.iter().filter(owed);
                self.is_accepting() && has_room && owed.any(|peer| peer.is_readable)
            }
        }
    }

    /// Returns how many pollables `subscribe` returns while this many connections are held.
    pub fn pollables(&self, held: u32) -> usize {
        if !self.is_accepting() {
            return 0;
        }
        let is_full = self.setup.max_held == Some(held);
        let sockets = self.setup.place.addresses().len();
        let deadline = usize::from(held > 0);
        (if is_full { 0 } else { sockets }) + held as usize + deadline
    }

    /// Section 4: what a call that was given `max` has returned.
    pub fn taken(&mut self, max: u32, reports: Vec<Report>) -> Result<()> {
        ensure!(reports.len() <= max as usize, "{} events", reports.len());
        for report in reports {
            ensure!(!self.stopped, "an event after the listener has stopped");
            ensure!(self.enabled, "an event while disabled");
            match report {
                Report::Connection { callback, peer } => {
                    ensure!(
                        self.callback == Some(callback),
                        "a connection for {callback} instead of {:?}",
                        self.callback
                    );
                    self.delivered(peer)?;
                }
                Report::Stopped { callback, code } => {
                    ensure!(self.broken, "accepting has failed: {code:?}");
                    ensure!(
                        self.error_callback == Some(callback),
                        "an error for {callback} instead of {:?}",
                        self.error_callback
                    );
                    self.stopped = true;
                }
            }
        }
        Ok(())
    }

    fn delivered(&mut self, address: SocketAddr) -> Result<()> {
        let same = |peer: &Peer| peer.address == address;
        // A port may be had again after a reset, so whoever is still there is looked for first.
        let present = self
            .peers
            .iter()
            .position(|peer| same(peer) && !peer.is_gone);
        let Some(client) = present.or_else(|| self.peers.iter().position(same)) else {
            bail!("{address} is delivered, and is no client");
        };
        let (earlier, rest) = self.peers.split_at_mut(client);
        let peer = &mut rest[0];
        ensure!(
            peer.fate != Fate::Delivered,
            "client {client} is delivered twice"
        );
        if self.setup.max_held.is_some() {
            ensure!(
                peer.is_readable || peer.is_gone,
                "client {client} is delivered before its first byte"
            );
        } else {
            let overtaken = |other: &Peer| other.socket == peer.socket && other.is_owed();
            if let Some(other) = earlier.iter().position(overtaken) {
                bail!("client {client} is delivered before client {other}");
            }
        }
        self.delivered_after_reset += u64::from(peer.is_gone);
        peer.fate = Fate::Delivered;
        self.accepted += 1;
        Ok(())
    }

    /// The counters.
    pub fn check_stats(&self, stats: &Stats) -> Result<()> {
        let gone = self.peers.iter().filter(|peer| peer.is_gone).count() as u64;
        let lost = stats.aborted + stats.peer_errors;
        let dealt_with = self.before + dealt_with(stats);
        let max_held = self.setup.max_held.unwrap_or(0);
        ensure!(stats.accepted == self.accepted, "accepted: {stats:?}");
        ensure!(lost <= gone, "{gone} peers are gone: {stats:?}");
        ensure!(stats.held <= max_held, "held: {stats:?}");
        ensure!(
            dealt_with <= self.peers.len() as u64,
            "{} peers, and {} before: {stats:?}",
            self.peers.len(),
            self.before
        );
        let others = [
            stats.resource_errors,
            stats.backoff_steps,
            stats.retries,
            stats.timed_out,
        ];
        ensure!(others == [0; 4], "what never happens here: {stats:?}");
        ensure!(stats.fatal_errors == u64::from(self.stopped), "{stats:?}");
        Ok(())
    }

    /// Returns how many peers the listener, or those before it, took out of the queue.
    pub fn dealt_with(&self, stats: &Stats) -> u64 {
        self.before + dealt_with(stats)
    }
}

fn dealt_with(stats: &Stats) -> u64 {
    stats.accepted + stats.aborted + stats.peer_errors + stats.timed_out + u64::from(stats.held)
}
