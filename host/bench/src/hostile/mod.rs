//! What good connections notice of hostile ones on the same server: `evconn-bench hostile`.

mod act;
mod bad;
mod good;
mod helper;
mod line;
mod options;
mod priority;
mod server;
mod table;
mod watch;
mod window;

pub use bad::{SUBCOMMAND as BAD, run as bad_as};
pub use good::{SUBCOMMAND as GOOD, run as good_as};

use crate::work;
use act::Act;
use anyhow::{Context, Result};
use bad::{Deeds, Mode};
use clap::Parser;
use helper::Helper;
use options::Options;
use server::Site;
use std::process::ExitCode;
use std::time::Duration;
use table::{Measured, Row};
use watch::Most;
use window::Noticed;

/// The subcommand of this program.
pub const SUBCOMMAND: &str = "hostile";

/// Parses the command line, without the program's name, measures, and prints the tables.
pub fn main() -> ExitCode {
    let options = Options::parse_from(std::env::args().skip(1));
    if options.list {
        for act in Act::ALL {
            println!("{:<12} {}", act.name, act.about);
        }
        return ExitCode::SUCCESS;
    }
    crate::exit_code(run(&options))
}

/// Returns whether every act was measured.
fn run(options: &Options) -> Result<bool> {
    work::raise_descriptor_limit().context("the limit of descriptors")?;
    let site = Site::prepare(options)?;
    let mut all = Vec::new();
    let mut is_complete = true;
    for act in options.chosen() {
        match measure(&site, options, act) {
            Ok(measured) => {
                print!("{}\n", table::of(&measured).text());
                all.push(measured);
            }
            Err(error) => {
                is_complete = false;
                eprintln!("error: {}: {error:#}", act.name);
            }
        }
    }
    print!("{}", table::summary(&all).text());
    Ok(is_complete)
}

/// Measures the good connections alone and beside hostile ones, on one server.
fn measure(site: &Site, options: &Options, act: Act) -> Result<Measured> {
    let server = site.start()?;
    let duration = Duration::from_secs(options.seconds.into());
    let mut good = good::start(server.address()).context("good connections")?;
    let mut rows = vec![row("alone", &mut good, server.id(), duration, || Ok(None))?];
    for mode in [Mode::Staying, Mode::Returning] {
        let bad = bad::start(server.address(), act.line, options.hostile, mode);
        let bad = bad.context("hostile connections")?;
        let end = || bad.end().map(Some);
        rows.push(row(mode.name(), &mut good, server.id(), duration, end)?);
    }
    Ok(Measured { act, rows })
}

/// Measures once. `end` ends the hostile connections.
fn row(
    name: &'static str,
    good: &mut Helper,
    server: u32,
    duration: Duration,
    end: impl FnOnce() -> Result<Option<Deeds>>,
) -> Result<Row> {
    good.tell(&duration.as_millis().to_string())?;
    let mut most = Most::default();
    most.watch(server, duration)?;
    let noticed: Noticed = good.hear()?;
    Ok(Row {
        name,
        noticed,
        deeds: end()?,
        most,
    })
}
