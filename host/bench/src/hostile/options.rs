//! The command line of `evconn-bench hostile`.

use super::case::Case;
use clap::Parser;
use std::path::PathBuf;
use std::time::Duration;

/// Measure what good connections notice of hostile ones on the same server.
///
/// For each act, `evconn serve hostile.wasm` is started with its defaults. 100 good connections send 64 bytes
/// every 20 ms each, on a fixed schedule, and check every byte of the echo. Their latency is measured from the
/// scheduled time: first alone, then beside hostile connections from 127.0.0.2 to 127.0.0.11 that do the act
/// and are replaced when they end, then beside hostile connections that are replaced every 50 ms. This is done
/// several times in turn, and the medians are shown.
///
/// The good connections are in a process with real-time priority if that is permitted, so that the table shows
/// delays of the server and not of the client; the hostile ones are in another process, which has less of the cores
/// when the server wants them: it stands for other machines.
#[derive(Parser)]
#[command(name = "hostile", bin_name = "evconn-bench hostile")]
pub struct Options {
    /// Only these acts, separated by commas
    #[arg(long, value_name = "NAMES", value_delimiter = ',', value_parser = Case::of)]
    pub acts: Vec<Case>,
    /// Duration of each measurement in seconds
    #[arg(long, value_name = "S", default_value_t = 1, value_parser = clap::value_parser!(u32).range(1..=3600))]
    pub seconds: u32,
    /// How often each act is measured
    #[arg(long, value_name = "N", default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub rounds: u32,
    /// Number of hostile connections
    #[arg(long, value_name = "N", default_value_t = 100, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub hostile: u32,
    /// The command to measure. By default it is built, with the profile release
    #[arg(long, value_name = "PATH")]
    pub evconn: Option<PathBuf>,
    /// More flags for `evconn serve`, separated by spaces
    #[arg(
        long,
        value_name = "FLAGS",
        allow_hyphen_values = true,
        default_value = ""
    )]
    pub flags: String,
    /// Name the acts, and measure nothing
    #[arg(long)]
    pub list: bool,
}

impl Options {
    /// Returns what to measure, in its own order.
    pub fn chosen(&self) -> impl Iterator<Item = Case> {
        let is_chosen = |case: &Case| self.acts.is_empty() || self.acts.contains(case);
        Case::all().filter(is_chosen)
    }

    /// Returns how long each measurement takes.
    pub fn duration(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, Options};
    use clap::{CommandFactory, Parser};

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_page_describes_every_act() {
        let page = include_str!("../../../../docs/benchmarks.md");
        let rows = page.lines().filter_map(|line| line.strip_prefix("| "));
        let heads = rows.filter_map(|row| row.split(" |").next());
        let named: Vec<_> = heads.flat_map(|head| head.split(", ")).collect();
        for case in Case::all() {
            assert!(named.contains(&case.name()), "{}", case.name());
        }
    }

    #[test]
    fn acts_are_chosen_by_name_and_keep_their_order() {
        let options = Options::try_parse_from(["hostile", "--acts", "sleep,spin"]).expect("valid");
        let names: Vec<_> = options.chosen().map(Case::name).collect();
        assert_eq!(names, ["spin", "sleep"]);
        assert!(Options::try_parse_from(["hostile", "--acts", "smile"]).is_err());
    }
}
