//! The works: what the servers are made to do.

mod bulk;
mod connect;
mod exchange;
mod fresh;
mod gauge;
mod idle;
mod kill;
mod names;
mod open;
mod paced;
mod room;
mod start;
mod workers;

pub use gauge::Gauge;
pub use names::thousands;
pub use room::{raise_descriptor_limit, that_fit};

use crate::client::{Close, Sources};
use crate::kit::{Kit, Language};
use crate::peers::{Peer, SHARED, Start};
use crate::placement::OnOneCore;
use crate::plan::Plan;
use crate::process::Process;
use crate::sample::Sample;
use anyhow::Result;
use std::time::Duration;
use tokio::runtime::Runtime;

/// How many connections are opened at a time, beside idle ones.
const CONNECTORS: u32 = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Work {
    /// Connects, sends 64 bytes, reads them, closes.
    Connect { parallel: u32, close: Close },
    /// Sends a message on open connections and reads its echo, repeatedly.
    RoundTrips { size: usize, connections: u32 },
    /// Round trips of 64 bytes on one connection, while the others are idle.
    OneActive { connections: u32 },
    /// Sends one byte, then another, on open connections, and reads both echoes only then. A server
    /// without TCP_NODELAY delays the second echo until the client, which has nothing to send,
    /// acknowledges the first: up to 40 ms.
    Pairs { connections: u32 },
    /// Sends and reads as fast as possible on open connections, both at the same time.
    Bulk { write: usize, connections: u32 },
    /// Round trips of 64 bytes on one connection, while others do a bulk transfer.
    Beside { streams: u32 },
    /// The time from starting the server to its first echo.
    Start { cached: bool },
    /// `Connect`, 50 at a time, while `idle` other connections are open that were served once. Also
    /// measures their memory.
    Open { idle: u32 },
    /// Connects, sends a line, reads the answer to its end. Each connection has a fresh instance of a
    /// service in this language.
    Fresh { language: Language, parallel: u32 },
    /// The time to the first byte of an answer of a service in this language, at 10 connections a second.
    Paced { language: Language },
    /// The time until so many connections are open, and their memory: more than one process can have.
    IdleProcesses { connections: u32, processes: u32 },
    /// The memory of a server with so many workers, before the first connection.
    ProcessesMemory { processes: u32 },
    /// Kills workers while others serve: the time until a new connection is answered.
    Kill,
}

/// What is needed to measure, and for how long.
pub struct Tools<'a> {
    pub client: &'a Runtime,
    pub sources: &'a Sources,
    pub duration: Duration,
}

impl Work {
    pub const ALL: [Self; 32] = [
        Self::connect(1, Close::Fin),
        Self::connect(50, Close::Fin),
        Self::connect(500, Close::Fin),
        Self::connect(50, Close::Reset),
        Self::round_trips(64, 1),
        Self::round_trips(64, 50),
        Self::round_trips(64, 1_000),
        Self::round_trips(4 << 10, 1),
        Self::round_trips(4 << 10, 50),
        Self::round_trips(4 << 10, 1_000),
        Self::OneActive { connections: 1_000 },
        Self::Pairs { connections: 50 },
        Self::bulk(16 << 10, 1),
        Self::bulk(16 << 10, 8),
        Self::bulk(1 << 20, 1),
        Self::bulk(1 << 20, 8),
        Self::Beside { streams: 8 },
        Self::Start { cached: false },
        Self::Start { cached: true },
        Self::Open { idle: 100 },
        Self::Open { idle: 1_000 },
        Self::Open { idle: 10_000 },
        Self::Open { idle: 18_000 },
        Self::fresh(Language::Python, 8),
        Self::fresh(Language::Python, 32),
        Self::fresh(Language::JavaScript, 8),
        Self::fresh(Language::JavaScript, 32),
        Self::Paced {
            language: Language::Python,
        },
        Self::IdleProcesses {
            connections: 30_000,
            processes: 4,
        },
        Self::ProcessesMemory { processes: 1 },
        Self::ProcessesMemory { processes: 9 },
        Self::Kill,
    ];

    const fn fresh(language: Language, parallel: u32) -> Self {
        Self::Fresh { language, parallel }
    }

    const fn connect(parallel: u32, close: Close) -> Self {
        Self::Connect { parallel, close }
    }

    const fn round_trips(size: usize, connections: u32) -> Self {
        Self::RoundTrips { size, connections }
    }

    const fn bulk(write: usize, connections: u32) -> Self {
        Self::Bulk { write, connections }
    }

    /// Returns how often each server is measured in a round. It is more often for the most important
    /// works, which depend most on how the kernel schedules.
    pub const fn turns(self, plan: &Plan) -> u32 {
        match self {
            Self::Connect {
                parallel: 50,
                close: Close::Fin,
            }
            | Self::RoundTrips {
                size: 64,
                connections: 50,
            }
            | Self::Bulk { connections: 8, .. }
            | Self::Kill => plan.turns,
            _ => 1,
        }
    }

    /// Returns the maximum number of connections at a time.
    pub const fn connections(self) -> u32 {
        match self {
            Self::Connect { parallel, .. } | Self::Fresh { parallel, .. } => parallel,
            Self::RoundTrips { connections, .. }
            | Self::OneActive { connections }
            | Self::Pairs { connections }
            | Self::Bulk { connections, .. }
            | Self::IdleProcesses { connections, .. } => connections,
            Self::Beside { streams } => streams + 1,
            Self::Start { .. } | Self::ProcessesMemory { .. } | Self::Paced { .. } => 1,
            Self::Kill => kill::CONNECTIONS + 1,
            Self::Open { idle } => idle + CONNECTORS + open::FIRST,
        }
    }

    /// Returns the maximum number of connections that one process has at a time.
    const fn connections_of_a_process(self) -> u32 {
        match self {
            Self::IdleProcesses { .. } => idle::OF_A_PROCESS,
            _ => self.connections(),
        }
    }

    /// Returns whether there may be an instance for each connection: a pool of more does not fit into an address space.
    const fn is_with_instances(self) -> bool {
        !matches!(self, Self::Open { idle: 10_001.. })
    }

    /// Returns the language of the service, if it is no echo.
    const fn language(self) -> Option<Language> {
        match self {
            Self::Fresh { language, .. } | Self::Paced { language } => Some(language),
            _ => None,
        }
    }

    /// Returns the flags with which evconn is started.
    fn flags(self) -> Vec<String> {
        let flags = match self {
            Self::IdleProcesses { processes, .. } => {
                format!("--processes {processes} --idle-timeout none")
            }
            Self::ProcessesMemory { processes } => format!("--processes {processes}"),
            _ => String::new(),
        };
        flags.split_whitespace().map(str::to_owned).collect()
    }

    /// Returns whether each measurement needs a newly started server.
    pub const fn takes_a_new_server(self) -> bool {
        matches!(
            self,
            Self::Start { .. }
                | Self::Open { .. }
                | Self::IdleProcesses { .. }
                | Self::ProcessesMemory { .. }
                | Self::Kill
        )
    }

    /// Returns whether client and server always wait for each other.
    const fn takes_turns(self) -> bool {
        matches!(
            self,
            Self::Connect { parallel: 1, .. }
                | Self::RoundTrips { connections: 1, .. }
                | Self::OneActive { .. }
        )
    }

    /// Returns whether this work is informative about a server.
    pub const fn is_for(self, peer: Peer) -> bool {
        let is_native = matches!(
            peer,
            Peer::Tokio | Peer::TokioLarge | Peer::Epoll | Peer::Libevent
        );
        match (peer, self) {
            (Peer::Evconn | Peer::EvconnThreads | Peer::EvconnReuse | Peer::WasmtimeWasi, work)
                if !work.is_with_instances() =>
            {
                false
            }
            (Peer::Evconn, _) | (Peer::EvconnThreads, Self::Fresh { .. }) => true,
            // It differs in when instances are made.
            (Peer::EvconnWarm, work) => matches!(
                work,
                Self::Connect { parallel: 50, .. } | Self::Fresh { .. } | Self::Paced { .. }
            ),
            // About its instances and its processes.
            (
                _,
                Self::Fresh { .. }
                | Self::Paced { .. }
                | Self::IdleProcesses { .. }
                | Self::ProcessesMemory { .. }
                | Self::Kill,
            ) => false,
            // Its buffer is as large as evconn's largest read, which matters only for bulk transfers.
            (Peer::TokioLarge, work) => matches!(work, Self::Bulk { .. } | Self::Beside { .. }),
            // An instance has as many connections as these at most.
            (Peer::EvconnShared | Peer::EvconnSharedOne, work) => match work {
                Self::Connect { parallel, .. } => parallel > 1 && parallel <= SHARED,
                Self::RoundTrips { connections, .. } | Self::Bulk { connections, .. } => {
                    connections > 1 && connections <= SHARED
                }
                _ => false,
            },
            // It differs in how connections begin.
            (Peer::EvconnReuse, work) => matches!(work, Self::Connect { .. } | Self::Open { .. }),
            // They differ in how bytes move, and in what an idle connection takes.
            (Peer::EvconnAsyncBack | Peer::EvconnAsyncOne, work) => matches!(
                work,
                Self::Connect { .. }
                    | Self::RoundTrips { .. }
                    | Self::OneActive { .. }
                    | Self::Bulk { .. }
                    | Self::Beside { .. }
                    | Self::Open { .. }
            ),
            (Peer::EvconnCopy | Peer::EvconnAsync | Peer::EvconnProgram, work) => matches!(
                work,
                Self::Connect { .. }
                    | Self::RoundTrips { .. }
                    | Self::Bulk { .. }
                    | Self::Beside { .. }
            ),
            // It does not cache compiled code.
            (Peer::WasmtimeWasi, Self::Start { cached }) => !cached,
            // Ratios are relative to it.
            (Peer::Tokio, _) => true,
            (_, Self::Start { cached: false }) => !is_native,
            _ => true,
        }
    }

    /// Starts a server for this work, with up to `connections` connections.
    pub fn server(self, peer: Peer, kit: &Kit, connections: u32) -> Result<Process> {
        let start = Start {
            connections,
            cached: !matches!(self, Self::Start { cached: false }),
            language: self.language(),
            flags: self.flags(),
        };
        peer.start(kit, &start)
    }

    /// Measures a server.
    pub fn measure(self, server: &Process, tools: &Tools) -> Result<Sample> {
        let _placed = match self.takes_turns() {
            true => Some(OnOneCore::with(server.id())?),
            false => None,
        };
        let gauge = Gauge::new(server, tools);
        tools.client.block_on(gauge.within_deadline(async {
            match self {
                Self::Connect { parallel, close } => connect::run(&gauge, parallel, close).await,
                Self::RoundTrips { size, connections } => {
                    exchange::round_trips(&gauge, size, connections).await
                }
                Self::OneActive { connections } => exchange::one_active(&gauge, connections).await,
                Self::Pairs { connections } => exchange::pairs(&gauge, connections).await,
                Self::Bulk { write, connections } => bulk::run(&gauge, write, connections).await,
                Self::Beside { streams } => exchange::beside_bulk(&gauge, streams).await,
                Self::Start { .. } => start::first_echo(&gauge).await,
                Self::Open { idle } => open::run(&gauge, idle, CONNECTORS).await,
                Self::Fresh { language, parallel } => fresh::run(&gauge, language, parallel).await,
                Self::Paced { language } => paced::first_bytes(&gauge, language).await,
                Self::IdleProcesses { connections, .. } => idle::run(&gauge, connections).await,
                Self::ProcessesMemory { .. } => workers::run(&gauge),
                Self::Kill => kill::run(&gauge).await,
            }
        }))
    }
}

/// Groups works whose servers are measured in turns, since they are compared with each other.
pub fn interleaved(works: &[Work]) -> impl Iterator<Item = &[Work]> {
    let is_open = |work: &Work| matches!(work, Work::Open { .. });
    let is_memory = |work: &Work| matches!(work, Work::ProcessesMemory { .. });
    works.chunk_by(move |a, b| is_open(a) && is_open(b) || is_memory(a) && is_memory(b))
}

/// Returns the languages of the services that these works require.
pub fn languages(works: &[Work]) -> Vec<Language> {
    let is_used = |language: &Language| works.iter().any(|it| it.language() == Some(*language));
    Language::ALL.into_iter().filter(is_used).collect()
}
