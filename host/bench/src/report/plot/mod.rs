//! Plots in SVG: a file for each subject, if there are figures for it.

mod axis;
mod bars;
mod canvas;
mod growth;
mod latency;
mod memory;
mod ratios;
mod start;

use super::row::Block;
use crate::work::Work;
use anyhow::{Context, Result};
use std::path::{Path, PathBuf};

/// Draws some of the blocks to a file.
type Plot = fn(&[&Block<'_>], &Path) -> Result<()>;

/// A file name, the function that draws it, the works that it shows, and how many of them it needs.
type Subject = (&'static str, Plot, fn(Work) -> bool, usize);

/// Draws every plot for which there are figures. Returns the files.
pub fn all(blocks: &[Block<'_>], directory: &Path) -> Result<Vec<PathBuf>> {
    let plots: [Subject; 5] = [
        ("ratios", ratios::draw, has_rate, 1),
        ("latency", latency::draw, is_round_trip, 1),
        ("start", start::draw, is_start, 1),
        ("memory", memory::draw, is_open, 1),
        ("growth", growth::draw, is_open, 2),
    ];
    let mut written = Vec::new();
    for (name, draw, is_wanted, least) in plots {
        let wanted = blocks.iter().filter(|block| is_wanted(block.work));
        let wanted: Vec<_> = wanted.collect();
        if wanted.len() >= least {
            let path = directory.join(name).with_extension("svg");
            draw(&wanted, &path).with_context(|| format!("{}", path.display()))?;
            written.push(path);
        }
    }
    Ok(written)
}

fn has_rate(work: Work) -> bool {
    matches!(
        work,
        Work::Connect { .. }
            | Work::RoundTrips { .. }
            | Work::OneActive { .. }
            | Work::Pairs { .. }
            | Work::Bulk { .. }
    )
}

fn is_round_trip(work: Work) -> bool {
    matches!(work, Work::RoundTrips { .. } | Work::Beside { .. })
}

fn is_start(work: Work) -> bool {
    matches!(work, Work::Start { .. })
}

fn is_open(work: Work) -> bool {
    matches!(work, Work::Open { .. })
}
