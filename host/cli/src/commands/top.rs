//! `evconn top`: a running server, on a terminal.

use crate::args::seconds;
use crate::failure::Failure;
use crate::files;
use crate::help::examples_of;
use crate::top::{self, Address};
use anyhow::anyhow;
use clap::Args;
use std::io::{IsTerminal, stdout};
use std::process::ExitCode;
use std::time::Duration;

/// Show a running server in the terminal
///
/// Shows what the admin endpoint says of a server that runs with --admin: charts of the last minutes, listeners, processes, why connections have ended, and the open ones, which can be reset. The key ? lists the keys.
#[derive(Args)]
#[command(after_long_help = examples_of("top"))]
pub struct Top {
    /// Address of the admin endpoint: 127.0.0.1:9000, localhost:9000, :9000, unix:PATH
    #[arg(value_name = "ADDR", default_value = "127.0.0.1:9000")]
    address: Address,
    /// Seconds between requests
    #[arg(long, value_name = "SECONDS", value_parser = interval, default_value = "1", allow_negative_numbers = true)]
    interval: Duration,
    /// Print one snapshot as text, and exit
    #[arg(long, conflicts_with = "interval")]
    once: bool,
}

/// How often a server may be asked.
fn interval(text: &str) -> Result<Duration, String> {
    let interval = seconds(text).ok();
    let bounds = Duration::from_millis(100)..=Duration::from_secs(3600);
    interval
        .filter(|interval| bounds.contains(interval))
        .ok_or_else(|| "expected a number of seconds from 0.1 to 3600".to_owned())
}

impl Top {
    pub async fn run(self) -> Result<ExitCode, Failure> {
        if self.once {
            files::print(&top::once(self.address).await?)?;
        } else if stdout().is_terminal() {
            top::show(self.address, self.interval).await?;
        } else {
            return Err(Failure::bad_input(anyhow!(
                "standard output is not a terminal: use --once, which prints text"
            )));
        }
        Ok(ExitCode::SUCCESS)
    }
}
