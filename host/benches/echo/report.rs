//! What is printed.

use crate::loads::{CONNECTORS, Load, PINGERS, STREAMS};
use crate::options::Plan;
use crate::rounds::Rounds;
use std::env::consts::{ARCH, OS};
use std::fmt;

/// What the figures depend on, and the head of the table.
pub fn print_header(plan: &Plan) {
    let workers = crate::workers();
    println!("machine:  {workers} cores, {OS} {ARCH}; client and servers share them");
    println!(
        "versions: evconn {}, wasmtime {}, tokio {}",
        env!("CARGO_PKG_VERSION"),
        locked("wasmtime"),
        locked("tokio"),
    );
    let Plan {
        rounds,
        connections,
        pings,
        pairs,
        chunks,
    } = plan;
    println!(
        "settings: {rounds} rounds after a warm-up, A B C A B C, of {connections} connections, \
         {pings} pings, {pairs} pairs, {chunks} chunks of 64 KiB;"
    );
    println!(
        "          {workers} workers a runtime; TCP_NODELAY on all but wasmtime-wasi's; RUST_BACKTRACE={}\n",
        std::env::var("RUST_BACKTRACE").unwrap_or_default()
    );
    row([
        "median (min-max)",
        "native tokio",
        "evconn",
        "wasmtime-wasi",
        "evconn / native",
        "evconn / wasmtime-wasi",
    ]);
}

/// The line of one load.
pub fn print_row(load: Load, rounds: &Rounds) {
    let (title, scale) = match load {
        Load::Connect => (
            format!("connect, echo 64 B, close; {CONNECTORS} at a time  k/s"),
            1e3,
        ),
        Load::PingPong => (format!("ping-pong 64 B, {PINGERS} connections  k/s"), 1e3),
        Load::Pipelined => (
            format!("two writes of 1 B, then read; {PINGERS} connections  k/s"),
            1e3,
        ),
        Load::Stream => (format!("stream 64 KiB, {STREAMS} connections  GB/s"), 1e9),
    };
    let scaled = |rates: &[f64]| Spread::of(rates.iter().map(|rate| rate / scale)).to_string();
    let ratio = |to: &[f64]| {
        let neighbours = to.iter().zip(&rounds.component);
        Spread::of(neighbours.map(|(other, component)| component / other)).to_string()
    };
    row([
        &title,
        &scaled(&rounds.native),
        &scaled(&rounds.component),
        &scaled(&rounds.stock),
        &ratio(&rounds.native),
        &ratio(&rounds.stock),
    ]);
}

fn row([title, columns @ ..]: [&str; 6]) {
    let columns = columns.map(|column| format!("{column:<18}"));
    println!("{title:>52}  {}", columns.join("  ").trim_end());
}

/// Where an odd number of values lie.
struct Spread {
    median: f64,
    min: f64,
    max: f64,
}

impl Spread {
    fn of(values: impl Iterator<Item = f64>) -> Self {
        let mut values: Vec<f64> = values.collect();
        values.sort_by(f64::total_cmp);
        Self {
            median: values[values.len() / 2],
            min: values[0],
            max: values[values.len() - 1],
        }
    }
}

/// Three digits tell more than the noise leaves, and no more than a table can hold.
impl fmt::Display for Spread {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { median, min, max } = self;
        let decimals = match median {
            ..10.0 => 2,
            ..100.0 => 1,
            _ => 0,
        };
        write!(f, "{median:.decimals$} ({min:.decimals$}-{max:.decimals$})")
    }
}

/// The version of a dependency. It does not tell it itself, but the lock file does.
fn locked(package: &str) -> &'static str {
    include_str!("../../../Cargo.lock")
        .split_once(&format!("name = \"{package}\"\nversion = \""))
        .and_then(|(_, rest)| rest.split('"').next())
        .unwrap_or("?")
}
