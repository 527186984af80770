//! The command line.

use super::peers::Peer;
use super::plan::{DEFAULT, Plan, QUICK};
use super::work::Work;
use clap::Parser;
use clap::error::ErrorKind;
use std::fs::{self, OpenOptions};
use std::path::{Path, PathBuf};
use std::process::ExitCode;

const BAD_INPUT: u8 = 2;

/// Measure echo over TCP: evconn in its several ways to run, beside native servers.
#[derive(Parser)]
#[command(name = "compare", bin_name = "cargo bench -p evconn-bench --")]
struct Options {
    /// The most telling works and servers, in fewer and shorter rounds: less than a minute, and less exact.
    #[arg(long)]
    quick: bool,
    /// Only this work, or those whose names begin so (`connect`); may be given more than once.
    #[arg(long, value_name = "NAME", value_parser = works)]
    work: Vec<Vec<Work>>,
    /// Only this server; may be given more than once. Ratios are to `tokio`, and missing without it.
    #[arg(long, value_name = "NAME", value_parser = peer)]
    peer: Vec<Peer>,
    /// How many rounds, after a warm-up: 5 by default, 3 with --quick.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=1_000))]
    rounds: Option<u32>,
    /// Name the works and the servers, and measure nothing.
    #[arg(long)]
    list: bool,
    /// Write all figures to this file. This and the next two: a path that is not absolute begins at the
    /// repository. When everything is measured, they go to target/benchmark by default.
    #[arg(long, value_name = "FILE")]
    json: Option<PathBuf>,
    /// Write the tables to this file, in Markdown.
    #[arg(long, value_name = "FILE")]
    markdown: Option<PathBuf>,
    /// Write plots to this directory, as SVG.
    #[arg(long, value_name = "DIR")]
    plots: Option<PathBuf>,
    /// Measure this command, rather than build one: a path that is not absolute begins at the repository.
    #[arg(long, value_name = "FILE")]
    evconn: Option<PathBuf>,
    /// What cargo says to every benchmark.
    #[arg(long, hide = true)]
    bench: bool,
}

/// What to measure, how, and where to write the figures.
pub struct Asked {
    pub works: Vec<Work>,
    pub peers: Vec<Peer>,
    pub plan: Plan,
    pub outputs: Outputs,
    /// The command to measure; by default it is built.
    pub evconn: Option<PathBuf>,
}

/// Where to write the figures, besides standard output.
#[derive(Default)]
pub struct Outputs {
    pub json: Option<PathBuf>,
    pub markdown: Option<PathBuf>,
    pub plots: Option<PathBuf>,
}

const QUICK_WORKS: [&str; 5] = [
    "connect-50",
    "round-64-50",
    "bulk-1024k-8",
    "start-cached",
    "open-1000",
];

/// Servers that a quick run leaves out.
const NOT_QUICK: [Peer; 2] = [Peer::Epoll, Peer::Wasmtime];

impl Options {
    fn into_asked(self) -> Asked {
        let is_whole = !self.quick && self.work.is_empty() && self.peer.is_empty();
        let plan = if self.quick { QUICK } else { DEFAULT };
        let asked: Vec<Work> = self.work.concat();
        // In their own order, each once.
        let works = Work::ALL.into_iter().filter(|work| match asked.is_empty() {
            true => !self.quick || QUICK_WORKS.contains(&&*work.name()),
            false => asked.contains(work),
        });
        let peers = Peer::ALL
            .into_iter()
            .filter(|peer| match self.peer.is_empty() {
                true => !self.quick || !NOT_QUICK.contains(peer),
                false => self.peer.contains(peer),
            });
        let outputs = Outputs {
            json: self.json,
            markdown: self.markdown,
            plots: self.plots,
        };
        Asked {
            works: works.collect(),
            peers: peers.collect(),
            plan: Plan {
                rounds: self.rounds.unwrap_or(plan.rounds),
                ..plan
            },
            outputs: outputs.or_defaults(is_whole).below(&repository()),
            evconn: self.evconn.map(|path| repository().join(path)),
        }
    }
}

impl Outputs {
    /// Adds the default files, if everything is measured.
    fn or_defaults(self, is_whole: bool) -> Self {
        if !is_whole {
            return self;
        }
        let directory = Path::new("target/benchmark");
        let or = |path: Option<PathBuf>, name| path.or_else(|| Some(directory.join(name)));
        Self {
            json: or(self.json, "results.json"),
            markdown: or(self.markdown, "results.md"),
            plots: or(self.plots, ""),
        }
    }

    fn below(self, directory: &Path) -> Self {
        let below = |path: Option<PathBuf>| path.map(|path| directory.join(path));
        Self {
            json: below(self.json),
            markdown: below(self.markdown),
            plots: below(self.plots),
        }
    }

    /// Creates the files and directories, so that errors are found before anything is measured.
    fn prepare(&self) -> Result<(), String> {
        for file in [&self.json, &self.markdown].into_iter().flatten() {
            if let Some(directory) = file.parent() {
                make(directory)?;
            }
            // The file keeps its content until there are new figures.
            let opened = OpenOptions::new().append(true).create(true).open(file);
            opened.map_err(|error| format!("{} cannot be written: {error}", file.display()))?;
        }
        match &self.plots {
            Some(directory) => make(directory),
            None => Ok(()),
        }
    }
}

fn make(directory: &Path) -> Result<(), String> {
    let made = fs::create_dir_all(directory);
    made.map_err(|error| format!("{} cannot be made: {error}", directory.display()))
}

/// Returns the directory of the repository: cargo runs a benchmark in that of its package.
fn repository() -> PathBuf {
    let package = Path::new(env!("CARGO_MANIFEST_DIR"));
    package.ancestors().nth(2).unwrap_or(package).to_owned()
}

fn works(name: &str) -> Result<Vec<Work>, String> {
    let is_meant = |work: &Work| {
        let rest = work.name();
        let rest = rest.strip_prefix(name);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('-'))
    };
    let exact = Work::ALL.into_iter().find(|work| work.name() == name);
    let meant: Vec<Work> = match exact {
        Some(work) => vec![work],
        None => Work::ALL.into_iter().filter(is_meant).collect(),
    };
    match meant.is_empty() {
        false => Ok(meant),
        true => Err("there is no such work; --list names all".to_owned()),
    }
}

fn peer(name: &str) -> Result<Peer, String> {
    let found = Peer::ALL.into_iter().find(|peer| peer.name() == name);
    found.ok_or_else(|| "there is no such server; --list names all".to_owned())
}

/// Parses the command line. Returns what to do, or the exit status.
pub fn parse() -> Result<Asked, ExitCode> {
    let options = match Options::try_parse() {
        Ok(options) => options,
        Err(help) if help.kind() == ErrorKind::DisplayHelp => {
            print!("{help}");
            return Err(ExitCode::SUCCESS);
        }
        Err(error) => {
            // Only the first line of the message: clap's usage would not help.
            eprintln!("{}", error.to_string().lines().next().unwrap_or_default());
            return Err(ExitCode::from(BAD_INPUT));
        }
    };
    if options.list {
        list();
        return Err(ExitCode::SUCCESS);
    }
    let asked = options.into_asked();
    match asked.outputs.prepare() {
        Ok(()) => Ok(asked),
        Err(problem) => {
            eprintln!("error: {problem}");
            Err(ExitCode::from(BAD_INPUT))
        }
    }
}

fn list() {
    println!("works:");
    for work in Work::ALL {
        println!("  {:<16} {}", work.name(), work.title());
    }
    println!("servers:");
    for peer in Peer::ALL {
        println!("  {:<16} {}", peer.name(), peer.about());
    }
}

#[cfg(test)]
mod tests {
    use super::{Options, QUICK_WORKS};
    use crate::peers::Peer;
    use crate::work::Work;
    use clap::{CommandFactory, Parser};

    const PAGE: &str = include_str!("../../../docs/benchmarks.md");

    /// Returns whether a row of a table on the page is about this, such as `connect-N` about `connect-50`.
    fn is_on_the_page(name: &str) -> bool {
        let rows = PAGE.lines().filter_map(|line| line.strip_prefix("| "));
        let heads = rows.filter_map(|row| row.split(" |").next());
        let mut names = heads.flat_map(|head| head.split(", "));
        names.any(|pattern| {
            let (mut pattern, mut name) = (pattern.split('-'), name.split('-'));
            pattern.all(|part| {
                name.next()
                    .is_some_and(|it| it == part || ["N", "S", "W"].contains(&part))
            })
        })
    }

    #[test]
    fn the_command_line_is_consistent() {
        Options::command().debug_assert();
    }

    #[test]
    fn the_page_describes_every_work_and_server() {
        for work in Work::ALL {
            assert!(is_on_the_page(&work.name()), "{}", work.name());
        }
        for peer in Peer::ALL {
            assert!(
                PAGE.contains(&format!("\n| {} | ", peer.name())),
                "{}",
                peer.name()
            );
        }
        assert!(!is_on_the_page("nothing-8"));
    }

    #[test]
    fn a_name_selects_the_works_that_begin_with_it() {
        let works = |arguments: &[&str]| {
            let options = Options::try_parse_from(["compare"].iter().chain(arguments));
            let works = options.expect("valid").into_asked().works;
            works.into_iter().map(Work::name).collect::<Vec<_>>()
        };
        assert_eq!(
            works(&["--work", "processes-memory"]),
            ["processes-memory-1", "processes-memory-9"]
        );
        assert_eq!(
            works(&["--work", "fresh-python"]),
            ["fresh-python-8", "fresh-python-32"]
        );
        assert_eq!(works(&["--work", "kill", "--work", "kill"]), ["kill"]);
        assert_eq!(works(&["--quick"]), QUICK_WORKS);
        assert_eq!(works(&[]).len(), Work::ALL.len());
    }
}
