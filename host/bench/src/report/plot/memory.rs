//! The memory that a server uses for each idle connection.

use super::axis::Scale;
use super::bars::{Bar, Panel};
use super::canvas::panels;
use crate::report::row::Block;
use anyhow::Result;
use std::path::Path;

pub fn draw(blocks: &[&Block<'_>], path: &Path) -> Result<()> {
    let title =
        "KiB for each idle connection: proportional memory, and paler on top of it page tables";
    let contents: Vec<_> = blocks.iter().map(|block| panel(block)).collect();
    panels(path, title, blocks, (&contents, 3), |area, frame, panel| {
        panel.draw(area, frame)
    })
}

fn panel(block: &Block<'_>) -> Panel {
    let bars = block.rows.iter().filter_map(|row| {
        Some(Bar {
            peer: row.peer,
            height: row.memory?,
            lower: Some(row.proportional?.median),
        })
    });
    Panel {
        title: block.work.short_title(),
        groups: vec![(String::new(), bars.collect())],
        mark: None,
        scale: Scale::Linear,
    }
}
