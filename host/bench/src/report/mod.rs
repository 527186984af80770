//! The report: tables and files.

mod grid;
mod json;
mod number;
mod plot;
mod row;
mod summary;

use super::machine::Machine;
use super::options::Outputs;
use super::peers::Skipped;
use super::plan::Plan;
use super::rounds::Measured;
use anyhow::{Context, Result};
pub use grid::Grid;
pub use number::number;
use row::Block;
use std::fs;
use std::path::Path;

pub struct Report {
    machine: Machine,
    settings: Settings,
    skipped: Vec<Skipped>,
    /// Works that were left out or reduced.
    notes: Vec<String>,
    measured: Vec<Measured>,
}

/// The settings of this program on which the figures depend.
#[derive(serde::Serialize)]
pub struct Settings {
    pub rounds: u32,
    /// In each round, for the most important works.
    pub turns: u32,
    pub milliseconds: u128,
    pub workers: usize,
}

impl Settings {
    pub fn new(plan: &Plan) -> Self {
        Self {
            rounds: plan.rounds,
            turns: plan.turns,
            milliseconds: plan.duration.as_millis(),
            workers: super::workers(),
        }
    }

    fn line(&self) -> String {
        let turns = match self.turns {
            1 => String::new(),
            turns => {
                format!(" ({turns} turns a round under connect-50, round-64-50, bulk-*-8 and kill)")
            }
        };
        format!(
            "{} rounds of {} ms after a warm-up, A B C A B C{turns}; {} workers each; \
             medians (lowest to highest); ratios are to the neighbour's turn",
            self.rounds, self.milliseconds, self.workers
        )
    }
}

impl Report {
    pub fn new(
        machine: Machine,
        settings: Settings,
        skipped: Vec<Skipped>,
        notes: Vec<String>,
    ) -> Self {
        Self {
            machine,
            settings,
            skipped,
            notes,
            measured: Vec::new(),
        }
    }

    /// Prints the settings and the machine.
    pub fn print_header(&self) {
        for line in self.header() {
            println!("{line}");
        }
    }

    /// Keeps the results and prints them.
    pub fn add(&mut self, measured: Vec<Measured>) {
        for measured in &measured {
            print!("\n{}", Grid::of(&Block::of(measured)).text());
        }
        self.measured.extend(measured);
    }

    /// Prints what follows from several works, if they were measured.
    pub fn print_summaries(&self) {
        for summary in summary::all(&self.blocks()) {
            print!("\n{}", summary.text());
        }
    }

    /// Writes the requested files.
    pub fn write(&self, outputs: &Outputs) -> Result<()> {
        let blocks = self.blocks();
        if let Some(file) = &outputs.json {
            write(file, &(json::of(self, &blocks)? + "\n"))?;
        }
        if let Some(file) = &outputs.markdown {
            write(file, &self.markdown(&blocks))?;
        }
        if let Some(directory) = &outputs.plots {
            for path in plot::all(&blocks, directory)? {
                println!("written: {}", path.display());
            }
        }
        Ok(())
    }

    /// Returns whether nothing failed.
    pub fn is_complete(&self) -> bool {
        let mut peers = self.measured.iter().flat_map(|measured| &measured.peers);
        peers.all(|peer| peer.samples.is_ok())
    }

    fn blocks(&self) -> Vec<Block<'_>> {
        self.measured.iter().map(Block::of).collect()
    }

    fn header(&self) -> Vec<String> {
        let mut lines = self.machine.lines().to_vec();
        lines.push(self.settings.line());
        for Skipped { peer, reason } in &self.skipped {
            lines.push(format!("{}: left out: {reason}", peer.name()));
        }
        lines.extend(self.notes.iter().cloned());
        lines
    }

    fn markdown(&self, blocks: &[Block]) -> String {
        let mut text =
            "# Figures\n\nWritten by `cargo bench -p evconn-bench`; see [how to read it](../benchmarks.md).\n\n"
                .to_owned();
        for line in self.header() {
            text += &format!("- {line}\n");
        }
        for grid in blocks.iter().map(Grid::of).chain(summary::all(blocks)) {
            text += &format!("\n{}", grid.markdown());
        }
        text
    }
}

fn write(file: &Path, text: &str) -> Result<()> {
    fs::write(file, text).with_context(|| format!("{}", file.display()))?;
    println!("written: {}", file.display());
    Ok(())
}
