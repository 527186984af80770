//! All figures, for programs.

use super::Report;
use super::row::Block;
use anyhow::Result;
use serde_json::json;

pub fn of(report: &Report, blocks: &[Block<'_>]) -> Result<String> {
    let works: Vec<_> = blocks
        .iter()
        .map(|block| {
            json!({
                "name": block.work.name(),
                "title": block.work.title(),
                "unit": block.work.base_unit(),
                "servers": block.rows,
            })
        })
        .collect();
    let all = json!({
        "machine": report.machine,
        "settings": report.settings,
        "left_out": report.skipped,
        "notes": report.notes,
        "works": works,
    });
    Ok(serde_json::to_string_pretty(&all)?)
}
