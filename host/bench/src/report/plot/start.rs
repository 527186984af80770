//! The time from a server's start to its first echo.

use super::axis::Scale;
use super::bars::{Bar, Panel};
use super::canvas::panels;
use crate::report::row::Block;
use anyhow::Result;
use std::path::Path;

pub fn draw(blocks: &[&Block<'_>], path: &Path) -> Result<()> {
    let title =
        "Milliseconds from the start of a server to its first echo (medians, lowest to highest)";
    let contents: Vec<_> = blocks.iter().map(|block| panel(block)).collect();
    panels(path, title, blocks, (&contents, 2), |area, frame, panel| {
        panel.draw(area, frame)
    })
}

fn panel(block: &Block<'_>) -> Panel {
    let bars = block.rows.iter().filter_map(|row| {
        Some(Bar {
            peer: row.peer,
            height: row.value?,
            lower: None,
        })
    });
    Panel {
        title: block.work.short_title(),
        groups: vec![(String::new(), bars.collect())],
        mark: None,
        scale: Scale::Linear,
    }
}
