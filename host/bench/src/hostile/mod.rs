//! What good connections notice of hostile ones on the same server: `evconn-bench hostile`.

mod act;
mod bad;
mod beside;
mod case;
mod good;
mod handshakes;
mod helper;
mod hoards;
mod instances;
mod line;
mod log;
mod options;
mod priority;
mod server;
mod table;
mod tls;
mod watch;
mod window;
mod wire;

use crate::report::Grid;
use crate::work;
use anyhow::{Context, Result};
use case::Case;
use clap::Parser;
use options::Options;
use server::Site;
use std::process::ExitCode;
use table::Measured;

/// The subcommand of this program.
pub const SUBCOMMAND: &str = "hostile";

/// Runs one of the processes that this benchmark starts, if the subcommand names one.
pub fn run_as(subcommand: &str, arguments: impl Iterator<Item = String>) -> Option<Result<()>> {
    Some(match subcommand {
        good::SUBCOMMAND => good::run(arguments),
        bad::SUBCOMMAND => bad::run(arguments),
        tls::HANDSHAKES => tls::handshake_as(arguments),
        tls::NATIVE => tls::serve_as(arguments),
        _ => return None,
    })
}

/// Parses the command line, without the program's name, measures, and prints the tables.
pub fn main() -> ExitCode {
    let options = Options::parse_from(std::env::args().skip(1));
    if options.list {
        for case in Case::all() {
            println!("{:<12} {}", case.name(), case.about());
        }
        return ExitCode::SUCCESS;
    }
    crate::exit_code(run(&options))
}

/// Returns whether everything was measured.
fn run(options: &Options) -> Result<bool> {
    work::raise_descriptor_limit().context("the limit of descriptors")?;
    let site = Site::prepare(options)?;
    let mut acts = Vec::new();
    let mut is_complete = true;
    for case in options.chosen() {
        if let Err(error) = measure(&site, options, case, &mut acts) {
            is_complete = false;
            eprintln!("error: {}: {error:#}", case.name());
        }
    }
    if !acts.is_empty() {
        show(&table::summary(&acts));
    }
    Ok(is_complete)
}

fn measure(site: &Site, options: &Options, case: Case, acts: &mut Vec<Measured>) -> Result<()> {
    let grids = match case {
        Case::Act(act) => {
            let measured = beside::measure(site, options, act)?;
            let grid = table::of(&measured);
            acts.push(measured);
            vec![grid]
        }
        Case::Handshakes => handshakes::measure(site, options)?,
        Case::Hoards => hoards::measure(site)?,
        Case::Instances => instances::measure(site, options)?,
        Case::Log => log::measure(site, options)?,
    };
    grids.iter().for_each(show);
    Ok(())
}

fn show(grid: &Grid) {
    println!("{}", grid.text());
}
