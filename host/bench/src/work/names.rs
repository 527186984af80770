//! The names of works, and the units of what they measure.

use super::{CONNECTORS, Work};
use crate::client::Close;

impl Work {
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
            Self::Fresh { language, parallel } => format!("fresh-{}-{parallel}", language.name()),
            Self::Paced { language } => format!("paced-{}", language.name()),
            Self::IdleProcesses { .. } => "idle-processes".to_owned(),
            Self::ProcessesMemory { processes } => format!("processes-memory-{processes}"),
            Self::Kill => "kill".to_owned(),
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
            Self::Fresh { language, parallel } => format!(
                "connect, send a line, read the answer, close; a fresh instance in {}, {parallel} at a time",
                language.title()
            ),
            Self::Paced { language } => format!(
                "to the first byte of an answer at 10 connections a second; instances in {}",
                language.title()
            ),
            Self::IdleProcesses {
                connections,
                processes,
            } => format!(
                "until {} idle connections are open, {processes} worker processes",
                thousands(connections)
            ),
            Self::ProcessesMemory { processes: 1 } => {
                "memory of a server with 1 idle worker process".to_owned()
            }
            Self::ProcessesMemory { processes } => {
                format!("memory of a server with {processes} idle worker processes")
            }
            Self::Kill => {
                "until a new connection is answered after a worker was killed, the longest of 5"
                    .to_owned()
            }
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

    /// Returns the unit of the measured value.
    pub const fn base_unit(self) -> &'static str {
        match self {
            Self::Bulk { .. } => "MB/s",
            Self::Start { .. } | Self::IdleProcesses { .. } | Self::Kill | Self::Paced { .. } => {
                "ms"
            }
            Self::ProcessesMemory { .. } => "MiB",
            _ => "1/s",
        }
    }

    /// Returns the unit in which the value is printed, and the factor from the base unit.
    pub const fn unit(self) -> (&'static str, f64) {
        match self {
            Self::Bulk { .. } => ("MB/s", 1.0),
            Self::Beside { .. } | Self::Fresh { .. } => ("1/s", 1.0),
            Self::Start { .. } | Self::IdleProcesses { .. } | Self::Kill | Self::Paced { .. } => {
                ("ms", 1.0)
            }
            Self::ProcessesMemory { .. } => ("MiB", 1.0),
            _ => ("k/s", 1e-3),
        }
    }

    /// Returns whether the value is a time, of which less is better.
    pub fn is_timed(self) -> bool {
        self.base_unit() == "ms"
    }

    /// Returns what [`Sample::count`](crate::sample::Sample::count) counts.
    pub const fn counted(self) -> &'static str {
        match self {
            Self::Kill => "others that failed",
            _ => "still open",
        }
    }

    /// Returns the operation to which processor time and latency refer.
    pub const fn operation(self) -> &'static str {
        match self {
            Self::Bulk { .. } => "MB",
            _ => "op",
        }
    }
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
