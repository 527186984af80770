//! The latency of round trips, typical and slowest: a panel for each work.

use super::axis::Scale;
use super::bars::{Bar, Panel};
use super::canvas::panels;
use crate::report::row::{Block, Row};
use crate::sample::Spread;
use anyhow::Result;
use std::path::Path;

/// The name of a percentile, and its value in a row.
type Percentile = (&'static str, fn(&Row<'_>) -> Option<Spread>);

const PERCENTILES: [Percentile; 3] = [
    ("p50", |row| row.p50),
    ("p99", |row| row.p99),
    ("p99.9", |row| row.p999),
];

pub fn draw(blocks: &[&Block<'_>], path: &Path) -> Result<()> {
    let title = "Microseconds of a round trip, on a logarithmic axis (medians, lowest to highest)";
    let contents: Vec<_> = blocks.iter().map(|block| panel(block)).collect();
    panels(path, title, blocks, (&contents, 4), |area, frame, panel| {
        panel.draw(area, frame)
    })
}

fn panel(block: &Block<'_>) -> Panel {
    let bars = |of: fn(&Row<'_>) -> Option<Spread>| {
        let bars = block.rows.iter().filter_map(|row| {
            Some(Bar {
                peer: row.peer,
                height: of(row)?,
                lower: None,
            })
        });
        bars.collect()
    };
    Panel {
        title: block.work.short_title(),
        groups: PERCENTILES
            .iter()
            .map(|&(name, of)| (name.to_owned(), bars(of)))
            .collect(),
        mark: None,
        scale: Scale::Log,
    }
}
