//! Figures by the number of open connections: a line for each server.

use super::axis::{Axis, Scale};
use super::canvas::{Area, Frame, caption, color, label, panels};
use crate::peers::Peer;
use crate::report::row::{Block, Row};
use crate::work::{Work, thousands};
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};
use std::path::Path;

/// What is shown of the servers, by the number of idle connections.
struct Lines {
    title: &'static str,
    lines: Vec<(Peer, Vec<(u32, f64)>)>,
}

pub fn draw(blocks: &[&Block<'_>], path: &Path) -> Result<()> {
    let title = "With more and more idle connections open (medians)";
    let contents = [
        lines(
            blocks,
            "thousand connections come and go in a second",
            |row| Some(row.value?.median / 1e3),
        ),
        lines(blocks, "KiB for each idle connection", |row| {
            Some(row.memory?.median)
        }),
    ];
    panels(path, title, blocks, (&contents, 2), |area, frame, lines| {
        lines.draw(area, frame)
    })
}

fn lines(
    blocks: &[&Block<'_>],
    title: &'static str,
    of: impl Fn(&Row<'_>) -> Option<f64>,
) -> Lines {
    let point = |block: &Block<'_>, peer| match block.work {
        Work::Open { idle } => Some((idle, block.row(peer).and_then(&of)?)),
        _ => None,
    };
    let line = |peer| {
        blocks
            .iter()
            .filter_map(|block| point(block, peer))
            .collect()
    };
    let lines = Peer::ALL.into_iter().map(|peer| (peer, line(peer)));
    Lines {
        title,
        lines: lines.collect(),
    }
}

impl Lines {
    fn draw(&self, area: &Area<'_>, frame: Frame) -> Result<()> {
        let points = || {
            self.lines
                .iter()
                .flat_map(|(_, points)| points.iter().copied())
        };
        let counts = points().map(|(idle, _)| f64::from(idle));
        let across = Axis::over(Scale::Log, counts, (frame.left, frame.right));
        let values = points().map(|(_, value)| value);
        let up = Axis::over(Scale::Linear, values, (frame.bottom, frame.top));
        caption(area, frame, self.title)?;
        up.draw(area, (frame.left, frame.right))?;
        let mut counts: Vec<u32> = points().map(|(idle, _)| idle).collect();
        counts.sort_unstable();
        counts.dedup();
        for idle in counts {
            let point = (across.pixel(idle.into()), frame.bottom + 6);
            label(area, thousands(idle), point, (HPos::Center, VPos::Top))?;
        }
        for (peer, points) in &self.lines {
            let pixel = |&(idle, value): &(u32, f64)| (across.pixel(idle.into()), up.pixel(value));
            let pixels: Vec<_> = points.iter().map(pixel).collect();
            for &pixel in &pixels {
                area.draw(&Circle::new(pixel, 3, color(*peer).filled()))?;
            }
            area.draw(&PathElement::new(pixels, color(*peer).stroke_width(2)))?;
        }
        Ok(())
    }
}
