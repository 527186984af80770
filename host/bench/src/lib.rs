//! The benchmark, from the command line to the report.

#![cfg(target_os = "linux")]

mod client;
mod family;
mod hostile;
mod kit;
mod machine;
mod options;
mod peers;
mod placement;
mod plan;
mod process;
mod report;
mod rounds;
mod sample;
mod sockets;
mod usage;
mod work;

use anyhow::{Context, Result};
use kit::Kit;
use machine::Machine;
use options::Asked;
use report::{Report, Settings};
use rounds::Bench;
use std::env;
use std::io;
use std::num::NonZero;
use std::process::ExitCode;
use tokio::runtime::{Builder, Runtime};

/// Runs a benchmark, one of the servers that it compares, or one of its clients.
pub fn main() -> ExitCode {
    let mut arguments = env::args().skip(1);
    let first = arguments.next();
    match first.as_deref() {
        Some(peers::SUBCOMMAND) => exit_code(peers::serve_as(arguments).map(|()| true)),
        Some(client::SUBCOMMAND) => exit_code(client::hold_as(arguments).map(|()| true)),
        Some(hostile::SUBCOMMAND) => hostile::main(),
        Some(other) => match hostile::run_as(other, arguments) {
            Some(ran) => exit_code(ran.map(|()| true)),
            None => compare(),
        },
        None => compare(),
    }
}

/// Compares the servers.
fn compare() -> ExitCode {
    match options::parse() {
        Ok(asked) => exit_code(run(&asked)),
        Err(code) => code,
    }
}

fn exit_code(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Measures everything that was requested, and reports it. Returns whether nothing failed.
fn run(asked: &Asked) -> Result<bool> {
    // Before anything is started, since the servers inherit the limit.
    work::raise_descriptor_limit().context("the limit of descriptors")?;
    let kit = Kit::prepare(asked.evconn.as_deref(), &work::languages(&asked.works))?;
    let (peers, skipped) = peers::available(&asked.peers, &kit);
    let settings = Settings::new(&asked.plan);
    let (works, notes) = work::that_fit(&asked.works, &kit);
    let mut report = Report::new(Machine::this(&kit), settings, skipped, notes);
    report.print_header();
    let bench = Bench::new(kit, peers, &asked.plan)?;
    for works in work::interleaved(&works) {
        let measured = bench.measure(works);
        report.add(measured);
    }
    report.print_summaries();
    report.write(&asked.outputs)?;
    Ok(report.is_complete())
}

/// Returns the number of workers of each server and of the client.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// Returns the runtime of `#[tokio::main]`.
fn runtime() -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers())
        .enable_all()
        .build()
}
