//! The works: what the servers are made to do.

mod bulk;
mod connect;
mod exchange;
mod gauge;
mod open;
mod room;
mod start;

pub use gauge::Gauge;
pub use room::{raise_descriptor_limit, that_fit};

use crate::client::{Close, Sources};
use crate::kit::Kit;
use crate::peers::{Peer, Start};
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
}

/// What is needed to measure, and for how long.
pub struct Tools<'a> {
    pub client: &'a Runtime,
    pub sources: &'a Sources,
    pub duration: Duration,
}

impl Work {
    pub const ALL: [Self; 22] = [
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
    ];

    const fn connect(parallel: u32, close: Close) -> Self {
        Self::Connect { parallel, close }
    }

    const fn round_trips(size: usize, connections: u32) -> Self {
        Self::RoundTrips { size, connections }
    }

    const fn bulk(write: usize, connections: u32) -> Self {
        Self::Bulk { write, connections }
    }

    /// Returns the name for the command line: short, and without spaces.
    pub fn name(self) -> String {
        match self {
            Self::Connect { parallel, close } => match close {
                Close::Fin => format!("connect-{parallel}"),
                Close::Reset => format!("connect-{parallel}-reset"),
            },
            Self::RoundTrips { size, connections } => format!("round-{size}-{connections}"),
            Self::OneActive { connections } => format!("one-of-{connections}"),
            Self::Pairs { connections } => format!("pairs-{connections}"),
            Self::Bulk { write, connections } => format!("bulk-{}k-{connections}", write >> 10),
            Self::Beside { streams } => format!("beside-{streams}"),
            Self::Start { cached: false } => "start-cold".to_owned(),
            Self::Start { cached: true } => "start-cached".to_owned(),
            Self::Open { idle } => format!("open-{idle}"),
        }
    }

    /// Returns a title in words.
    pub fn title(self) -> String {
        let on = |count: u32| match count {
            1 => "1 connection".to_owned(),
            _ => format!("{} connections", thousands(count)),
        };
        match self {
            Self::Connect { parallel, close } => {
                let close = match close {
                    Close::Fin => "close",
                    Close::Reset => "reset",
                };
                format!("connect, echo 64 B, {close}; {parallel} at a time")
            }
            Self::RoundTrips { size, connections } => {
                format!("round trips of {}, {}", bytes(size), on(connections))
            }
            Self::OneActive { connections } => {
                format!("round trips of 64 B, 1 active of {}", on(connections))
            }
            Self::Pairs { connections } => {
                format!("two writes of 1 B, then their echo; {}", on(connections))
            }
            Self::Bulk { write, connections } => {
                format!("bulk in writes of {}, {}", bytes(write), on(connections))
            }
            Self::Beside { streams } => {
                format!("round trips of 64 B, 1 connection, beside bulk on {streams}")
            }
            Self::Start { cached: false } => {
                "from its start to its first echo, nothing compiled".to_owned()
            }
            Self::Start { cached: true } => "from its start to its first echo, cached".to_owned(),
            Self::Open { idle } => format!(
                "connect, echo 64 B, close; {CONNECTORS} at a time, beside {} idle ones",
                thousands(idle)
            ),
        }
    }

    /// Returns a title that fits where space is scarce.
    pub fn short_title(self) -> String {
        match self {
            Self::Start { cached: false } => "nothing compiled".to_owned(),
            Self::Start { cached: true } => "compiled before".to_owned(),
            Self::Open { idle } => format!("{} idle", thousands(idle)),
            Self::OneActive { connections } => {
                format!("64 B, 1 active of {}", thousands(connections))
            }
            Self::Beside { streams } => format!("64 B, beside bulk on {streams}"),
            Self::Connect { parallel, close } => {
                let reset = if close == Close::Reset { ", reset" } else { "" };
                format!("connections, {parallel} at a time{reset}")
            }
            _ => self.title(),
        }
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
            | Self::Bulk { connections: 8, .. } => plan.turns,
            _ => 1,
        }
    }

    /// Returns the unit of the measured value.
    pub const fn base_unit(self) -> &'static str {
        match self {
            Self::Bulk { .. } => "MB/s",
            Self::Start { .. } => "ms",
            _ => "1/s",
        }
    }

    /// Returns the unit in which the value is printed, and the factor from the base unit.
    pub const fn unit(self) -> (&'static str, f64) {
        match self {
            Self::Bulk { .. } => ("MB/s", 1.0),
            Self::Beside { .. } => ("1/s", 1.0),
            Self::Start { .. } => ("ms", 1.0),
            _ => ("k/s", 1e-3),
        }
    }

    /// Returns the operation to which processor time and latency refer.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::Bulk { .. } => "MB",
            _ => "op",
        }
    }

    /// Returns the maximum number of connections at a time.
    pub const fn connections(self) -> u32 {
        match self {
            Self::Connect { parallel, .. } => parallel,
            Self::RoundTrips { connections, .. }
            | Self::OneActive { connections }
            | Self::Pairs { connections }
            | Self::Bulk { connections, .. } => connections,
            Self::Beside { streams } => streams + 1,
            Self::Start { .. } => 1,
            // And the first one.
            Self::Open { idle } => idle + CONNECTORS + 1,
        }
    }

    /// Returns whether each measurement needs a newly started server.
    pub const fn takes_a_new_server(self) -> bool {
        matches!(self, Self::Start { .. } | Self::Open { .. })
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
            // Its buffer is as large as evconn's largest read, which matters only for bulk transfers.
            (Peer::TokioLarge, work) => matches!(work, Self::Bulk { .. } | Self::Beside { .. }),
            // It differs in how connections begin.
            (Peer::EvconnReuse, work) => matches!(work, Self::Connect { .. } | Self::Open { .. }),
            // It differs in how bytes move, and in what it allocates.
            (Peer::EvconnCopy, work) => matches!(
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
        };
        peer.start(kit, start)
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
            }
        }))
    }
}

/// Groups works whose servers are measured in turns, since they are compared with each other.
pub fn interleaved(works: &[Work]) -> impl Iterator<Item = &[Work]> {
    let is_open = |work: &Work| matches!(work, Work::Open { .. });
    works.chunk_by(move |a, b| is_open(a) && is_open(b))
}

fn bytes(size: usize) -> String {
    match size {
        ..1_024 => format!("{size} B"),
        1_024..1_048_576 => format!("{} KiB", size >> 10),
        _ => format!("{} MiB", size >> 20),
    }
}

/// Formats a number with a comma after the thousands.
pub fn thousands(count: u32) -> String {
    match count {
        ..1_000 => count.to_string(),
        _ => format!("{},{:03}", count / 1_000, count % 1_000),
    }
}
