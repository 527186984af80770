//! What is asked for on the command line, and how much work that is.

use crate::loads::Load;
use clap::Parser;
use clap::error::ErrorKind;
use std::process::ExitCode;

/// Measure echo over TCP: native tokio against evconn, a fresh instance for each connection.
#[derive(Parser)]
#[command(name = "echo", bin_name = "cargo bench --")]
struct Options {
    /// About 10 seconds instead of under a minute, and less exact.
    #[arg(long)]
    quick: bool,
    /// Only this load; may be given more than once. Default: all.
    #[arg(long, value_enum)]
    load: Vec<Load>,
    /// How many rounds, after a warm-up: an odd number.
    #[arg(long)]
    rounds: Option<u32>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// How much is done: fixed amounts rather than fixed times, so that it is known how many ports are
/// used.
pub struct Plan {
    /// How many times each server is measured under each load, after a warm-up. An odd number.
    pub rounds: u32,
    /// How many connections a server has in a round of [`Load::Connect`](crate::loads::Load).
    pub connections: u32,
    /// How many pings it answers in a round of `Load::PingPong`.
    pub pings: u32,
    /// How many pairs of writes it answers in a round of `Load::Pipelined`.
    pub pairs: u32,
    /// How many chunks it returns in a round of `Load::Stream`.
    pub chunks: u32,
}

const DEFAULT: Plan = Plan {
    rounds: 9,
    connections: 3_000,
    pings: 60_000,
    pairs: 20_000,
    chunks: 12_000,
};

const QUICK: Plan = Plan {
    rounds: 5,
    connections: 3_000,
    pings: 40_000,
    pairs: 10_000,
    chunks: 8_000,
};

/// The client closes first, so the port that it had is not free to connect to the same server for a
/// minute (TIME_WAIT). It has 28,232 ports on Linux, and some 16,000 elsewhere; when more than half
/// of them are taken, the kernel needs noticeably longer to find one. Each measurement has a server
/// port of its own, so this is a limit on one of them rather than on the whole run.
const MAX_CONNECTIONS: u32 = 8_000;
const _: () = assert!(DEFAULT.connections <= MAX_CONNECTIONS);
const _: () = assert!(QUICK.connections <= MAX_CONNECTIONS);

impl Options {
    fn into_parts(self) -> (Vec<Load>, Plan) {
        let mut plan = if self.quick { QUICK } else { DEFAULT };
        plan.rounds = self.rounds.map_or(plan.rounds, |rounds| rounds | 1);
        let loads = match self.load.is_empty() {
            true => Load::ALL.to_vec(),
            false => self.load,
        };
        (loads, plan)
    }
}

/// What the servers are put under and how much of it, or what to exit with.
pub fn parse() -> Result<(Vec<Load>, Plan), ExitCode> {
    match Options::try_parse() {
        Ok(options) => Ok(options.into_parts()),
        Err(help) if help.kind() == ErrorKind::DisplayHelp => {
            print!("{help}");
            Err(ExitCode::SUCCESS)
        }
        Err(error) => {
            // After the first line comes the usage, of which there is too little to repeat it.
            eprintln!("{}", error.to_string().lines().next().unwrap_or_default());
            Err(ExitCode::from(2))
        }
    }
}
