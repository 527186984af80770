//! What all plots share: a title, a legend, panels of one size, and a colour for each server.

use crate::peers::Peer;
use crate::report::row::Block;
use anyhow::Result;
use plotters::coord::Shift;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};
use std::path::Path;

/// A panel, or a part of one; points are pixels.
pub type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

pub const GREY: RGBColor = RGBColor(110, 110, 110);
pub const PALE: RGBColor = RGBColor(225, 225, 225);

const FONT: &str = "sans-serif";
const TITLE: u32 = 17;
const CAPTION: u32 = 13;
const LABEL: u32 = 11;

/// The height of title and legend.
const HEAD: u32 = 62;
const PANEL: (u32, u32) = (310, 210);

/// The width of a legend with all servers.
const LEGEND: u32 = 1_050;

/// The margins of a panel.
const LEFT: i32 = 42;
const RIGHT: i32 = 12;
const TOP: i32 = 28;
const BOTTOM: i32 = 26;

pub const fn color(peer: Peer) -> RGBColor {
    match peer {
        Peer::Tokio => RGBColor(60, 60, 60),
        Peer::TokioLarge => RGBColor(95, 95, 95),
        Peer::Epoll => RGBColor(130, 130, 130),
        Peer::Libevent => RGBColor(185, 185, 185),
        Peer::WasmtimeWasi => RGBColor(225, 160, 60),
        Peer::Evconn => RGBColor(25, 90, 170),
        Peer::EvconnThreads => RGBColor(20, 45, 95),
        Peer::EvconnReuse => RGBColor(95, 160, 230),
        Peer::EvconnCopy => RGBColor(40, 150, 130),
        Peer::EvconnAsync => RGBColor(0, 170, 190),
        Peer::EvconnAsyncBack => RGBColor(110, 205, 215),
        Peer::EvconnAsyncOne => RGBColor(0, 110, 130),
        Peer::EvconnProgram => RGBColor(120, 190, 90),
        Peer::EvconnWarm => RGBColor(230, 120, 40),
        Peer::EvconnShared => RGBColor(110, 60, 130),
        Peer::EvconnSharedOne => RGBColor(190, 140, 205),
        Peer::EvconnOne => RGBColor(150, 85, 170),
        Peer::Wasmtime => RGBColor(200, 70, 70),
    }
}

/// The position of the drawing within a panel, in pixels.
#[derive(Clone, Copy)]
pub struct Frame {
    pub left: i32,
    pub right: i32,
    pub top: i32,
    pub bottom: i32,
}

/// Draws a file with a panel for each item, `columns` of them side by side.
pub fn panels<T>(
    path: &Path,
    title: &str,
    blocks: &[&Block<'_>],
    (contents, columns): (&[T], usize),
    draw: impl Fn(&Area<'_>, Frame, &T) -> Result<()>,
) -> Result<()> {
    let columns = contents.len().clamp(1, columns);
    let rows = contents.len().div_ceil(columns);
    let width = (PANEL.0 * columns as u32).max(LEGEND);
    let root = SVGBackend::new(path, (width, HEAD + PANEL.1 * rows as u32)).into_drawing_area();
    root.fill(&WHITE)?;
    let (head, body) = root.split_vertically(HEAD);
    text(&head, title, (12, 10), (TITLE, HPos::Left, VPos::Top))?;
    legend(&head, blocks)?;
    for (area, content) in body.split_evenly((rows, columns)).iter().zip(contents) {
        let (width, height) = area.dim_in_pixel();
        let frame = Frame {
            left: LEFT,
            right: width as i32 - RIGHT,
            top: TOP,
            bottom: height as i32 - BOTTOM,
        };
        draw(area, frame, content)?;
    }
    root.present()?;
    Ok(())
}

/// Draws a caption above the panel.
pub fn caption(area: &Area<'_>, frame: Frame, words: &str) -> Result<()> {
    let middle = (frame.left + frame.right) / 2;
    text(area, words, (middle, 8), (CAPTION, HPos::Center, VPos::Top))
}

/// Draws text at a point, on the given side of it.
pub fn label(
    area: &Area<'_>,
    words: impl AsRef<str>,
    point: (i32, i32),
    (across, down): (HPos, VPos),
) -> Result<()> {
    text(area, words.as_ref(), point, (LABEL, across, down))
}

fn text(
    area: &Area<'_>,
    words: &str,
    point: (i32, i32),
    (size, across, down): (u32, HPos, VPos),
) -> Result<()> {
    let style = (FONT, size).into_text_style(area);
    area.draw_text(words, &style.pos(Pos::new(across, down)), point)?;
    Ok(())
}

/// Draws the legend: the servers of all blocks, in their order.
fn legend(area: &Area<'_>, blocks: &[&Block<'_>]) -> Result<()> {
    const HEIGHT: i32 = 38;
    const SIZE: i32 = 10;
    const LETTER: i32 = 7;
    let is_there = |peer: &Peer| blocks.iter().any(|block| block.row(*peer).is_some());
    let mut left = 12;
    for peer in Peer::ALL.into_iter().filter(is_there) {
        let square = [(left, HEIGHT), (left + SIZE, HEIGHT + SIZE)];
        area.draw(&Rectangle::new(square, color(peer).filled()))?;
        let point = (left + SIZE + 5, HEIGHT + SIZE / 2);
        label(area, peer.name(), point, (HPos::Left, VPos::Center))?;
        left += SIZE + 18 + LETTER * peer.name().len() as i32;
    }
    Ok(())
}
