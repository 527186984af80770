//! Measures the servers under a work in turns.

use super::client::Sources;
use super::kit::Kit;
use super::peers::Peer;
use super::plan::Plan;
use super::process::Process;
use super::sample::Sample;
use super::work::{Tools, Work};
use anyhow::{Context, Result};
use tokio::runtime::Runtime;

/// The servers to measure, and what is needed for it.
pub struct Bench {
    kit: Kit,
    peers: Vec<Peer>,
    plan: Plan,
    sources: Sources,
    client: Runtime,
}

/// The results of a work.
pub struct Measured {
    pub work: Work,
    pub peers: Vec<PeerMeasured>,
}

pub struct PeerMeasured {
    pub peer: Peer,
    /// One for each measurement, or what went wrong.
    pub samples: Result<Vec<Sample>>,
    /// The running server, if it is kept for the next round.
    server: Option<Process>,
}

impl Bench {
    pub fn new(kit: Kit, peers: Vec<Peer>, plan: &Plan) -> Result<Self> {
        Ok(Self {
            kit,
            peers,
            plan: *plan,
            sources: Sources::new(),
            client: super::runtime()?,
        })
    }

    /// Measures each server under each work, in each round. The first round is a warm-up.
    pub fn measure(&self, works: &[Work]) -> Vec<Measured> {
        // Every work gets the same server, even if it needs fewer connections.
        let most = works.iter().map(|work| work.connections()).max();
        let most = most.unwrap_or_default();
        let mut measured: Vec<_> = works.iter().map(|&work| self.nothing_yet(work)).collect();
        for round in 0..=self.plan.rounds {
            for Measured { work, peers } in &mut measured {
                let turns = match round {
                    0 => 1,
                    _ => work.turns(&self.plan),
                };
                for _ in 0..turns {
                    for entry in &mut *peers {
                        self.take_turn(*work, entry, (round, most));
                    }
                }
            }
        }
        for entry in measured.iter_mut().flat_map(|measured| &mut measured.peers) {
            entry.server = None;
        }
        measured
    }

    fn nothing_yet(&self, work: Work) -> Measured {
        let peers = self.peers.iter().filter(|peer| work.is_for(**peer));
        let peers = peers.map(|&peer| PeerMeasured {
            peer,
            samples: Ok(Vec::new()),
            server: None,
        });
        Measured {
            work,
            peers: peers.collect(),
        }
    }

    fn take_turn(&self, work: Work, entry: &mut PeerMeasured, (round, most): (u32, u32)) {
        let Ok(samples) = &mut entry.samples else {
            return;
        };
        match self.one(work, entry.peer, &mut entry.server, most) {
            Ok(_) if round == 0 => {}
            Ok(sample) => samples.push(sample),
            Err(error) => {
                let (name, peer) = (work.name(), entry.peer.name());
                eprintln!("error: {name}, {peer}, round {round}: {error:#}");
                entry.samples = Err(error);
                entry.server = None;
            }
        }
    }

    fn one(&self, work: Work, peer: Peer, kept: &mut Option<Process>, most: u32) -> Result<Sample> {
        let mut server = match kept.take() {
            Some(server) => server,
            None => work.server(peer, &self.kit, most)?,
        };
        let tools = Tools {
            client: &self.client,
            sources: &self.sources,
            duration: self.plan.duration,
        };
        let sample = work.measure(&server, &tools);
        let sample = sample.with_context(|| server.last_words())?;
        if !work.takes_a_new_server() {
            *kept = Some(server);
        }
        Ok(sample)
    }
}
