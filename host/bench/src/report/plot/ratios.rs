//! The throughput of each server, relative to tokio: a panel for each work.

use super::axis::Scale;
use super::bars::{Bar, Panel};
use super::canvas::panels;
use crate::report::row::Block;
use anyhow::Result;
use std::path::Path;

pub fn draw(blocks: &[&Block<'_>], path: &Path) -> Result<()> {
    let title = "What is done in a second, as a ratio to native tokio (medians, lowest to highest)";
    let contents: Vec<_> = blocks.iter().map(|block| panel(block)).collect();
    panels(path, title, blocks, (&contents, 4), |area, frame, panel| {
        panel.draw(area, frame)
    })
}

fn panel(block: &Block<'_>) -> Panel {
    let bars = block.rows.iter().filter_map(|row| {
        Some(Bar {
            peer: row.peer,
            height: row.ratio?,
            lower: None,
        })
    });
    Panel {
        title: block.work.short_title(),
        groups: vec![(String::new(), bars.collect())],
        mark: Some(1.0),
        scale: Scale::Linear,
    }
}
