//! `evconn man`: the help as man pages.

use crate::Cli;
use crate::files::{self, Output};
use crate::help::{examples, examples_of};
use anyhow::{Context, ensure};
use clap::{Args, Command, CommandFactory};
use clap_mangen::Man as Renderer;
use roff::{Roff, bold, roman};
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

/// Print the man pages, or write them to a directory
///
/// There is a page for evconn, and one for each subcommand. Pages that exist already are replaced.
#[derive(Args)]
#[command(after_long_help = examples_of("man"))]
pub struct Man {
    /// Directory to write to; it is created if it does not exist [default: print all pages]
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

/// A page: the name of its file, and its text.
struct Page {
    name: String,
    text: Vec<u8>,
}

impl Man {
    pub fn run(&self) -> anyhow::Result<()> {
        let pages = pages()?;
        match &self.directory {
            Some(directory) => write(&pages, directory),
            None => pages
                .iter()
                .try_for_each(|page| files::print(&String::from_utf8_lossy(&page.text))),
        }
    }
}

/// Returns the page of the command, and those of its subcommands.
fn pages() -> anyhow::Result<Vec<Page>> {
    // Without pages of `evconn help SUBCOMMAND`.
    let mut command = Cli::command().disable_help_subcommand(true);
    command.build();
    let subcommands = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    let all = [&command].into_iter().chain(subcommands);
    all.map(|of| page(of).context("cannot make a page"))
        .collect()
}

fn page(command: &Command) -> io::Result<Page> {
    let renderer = Renderer::new(command.clone())
        .manual("evconn")
        // Without one: a page is the same whenever it is built. An empty one would be left out.
        .date(" ")
        .source(concat!("evconn ", env!("CARGO_PKG_VERSION")));
    let mut text = Vec::new();
    renderer.render_title(&mut text)?;
    // No flag is hyphenated.
    Roff::new().control("nh", []).to_writer(&mut text)?;
    renderer.render_name_section(&mut text)?;
    renderer.render_synopsis_section(&mut text)?;
    renderer.render_description_section(&mut text)?;
    renderer.render_options_section(&mut text)?;
    match command.has_subcommands() {
        true => renderer.render_subcommands_section(&mut text)?,
        false => examples_section(command.get_name()).to_writer(&mut text)?,
    }
    Ok(Page {
        name: renderer.get_filename(),
        text,
    })
}

fn examples_section(of: &str) -> Roff {
    let mut section = Roff::new();
    section.control("SH", ["EXAMPLES"]);
    for (line, what) in examples(of) {
        section.control("TP", []).text([roman(*what)]);
        section.control("nf", []);
        section.text([bold(*line)]).control("fi", []);
    }
    section
}

fn write(pages: &[Page], directory: &Path) -> anyhow::Result<()> {
    let shown = directory.display();
    ensure!(
        directory.is_dir() || !directory.exists(),
        "{shown}: not a directory: name another one"
    );
    fs::create_dir_all(directory).with_context(|| format!("cannot create {shown}"))?;
    pages
        .iter()
        .try_for_each(|page| Output::File(directory.join(&page.name)).write(&page.text))
}
