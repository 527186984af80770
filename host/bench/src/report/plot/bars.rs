//! A panel with groups of bars.

use super::axis::{Axis, Scale};
use super::canvas::{Area, Frame, GREY, caption, color, label};
use crate::peers::Peer;
use crate::sample::Spread;
use anyhow::Result;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, VPos};

/// A bar. All values have the unit of the axis.
pub struct Bar {
    pub peer: Peer,
    pub height: Spread,
    /// The lower part of the bar, which is a value of its own; the rest is drawn paler.
    pub lower: Option<f64>,
}

/// A panel.
pub struct Panel {
    pub title: String,
    /// The groups: their names and bars.
    pub groups: Vec<(String, Vec<Bar>)>,
    /// The value at which a line is drawn across the panel.
    pub mark: Option<f64>,
    pub scale: Scale,
}

/// The gap between groups, as a fraction of a bar's width.
const GAP: f64 = 1.0;
/// The margin on each side of a bar, as a fraction of its width.
const MARGIN: f64 = 0.1;

impl Panel {
    pub fn draw(&self, area: &Area<'_>, frame: Frame) -> Result<()> {
        let heights = self.bars().map(|bar| bar.height);
        let values = heights.flat_map(|height| [height.min, height.max]);
        let axis = Axis::over(
            self.scale,
            values.chain(self.mark),
            (frame.bottom, frame.top),
        );
        caption(area, frame, &self.title)?;
        axis.draw(area, (frame.left, frame.right))?;
        let width = self.bars().count() as f64 + GAP * self.groups.len() as f64;
        let across = |place: f64| {
            let part = place / width * f64::from(frame.right - frame.left);
            frame.left + part.round() as i32
        };
        let mut place = 0.0;
        for (name, bars) in &self.groups {
            let middle = across(place + (bars.len() as f64 + GAP) / 2.0);
            label(
                area,
                name,
                (middle, frame.bottom + 6),
                (HPos::Center, VPos::Top),
            )?;
            place += GAP / 2.0;
            for bar in bars {
                let sides = (across(place + MARGIN), across(place + 1.0 - MARGIN));
                bar.draw(area, &axis, sides)?;
                place += 1.0;
            }
            place += GAP / 2.0;
        }
        if let Some(mark) = self.mark {
            let height = axis.pixel(mark);
            let line = vec![(frame.left, height), (frame.right, height)];
            area.draw(&PathElement::new(line, BLACK.stroke_width(1)))?;
        }
        Ok(())
    }

    fn bars(&self) -> impl Iterator<Item = &Bar> {
        self.groups.iter().flat_map(|(_, bars)| bars)
    }
}

impl Bar {
    fn draw(&self, area: &Area<'_>, axis: &Axis, (left, right): (i32, i32)) -> Result<()> {
        let Spread { median, min, max } = self.height;
        let color = color(self.peer);
        let [top, bottom] = [median, axis.begin()].map(|value| axis.pixel(value));
        let lower = axis.pixel(self.lower.unwrap_or(median));
        let upper = [(left, top), (right, lower)];
        area.draw(&Rectangle::new(upper, color.mix(0.4).filled()))?;
        area.draw(&Rectangle::new(
            [(left, lower), (right, bottom)],
            color.filled(),
        ))?;
        let middle = (left + right) / 2;
        let whisker = vec![(middle, axis.pixel(min)), (middle, axis.pixel(max))];
        area.draw(&PathElement::new(whisker, GREY.stroke_width(2)))?;
        Ok(())
    }
}
