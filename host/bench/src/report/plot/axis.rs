//! Axes, which map values to pixels.

use plotters::prelude::*;

use super::canvas::{Area, PALE, label};
use anyhow::Result;
use plotters::style::text_anchor::{HPos, VPos};

#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Scale {
    /// Starts at 0.
    Linear,
    Log,
}

/// An axis from one value to another, between two pixels.
pub struct Axis {
    scale: Scale,
    values: (f64, f64),
    pixels: (i32, i32),
}

impl Axis {
    /// Creates an axis that covers all values, with a margin.
    pub fn over(scale: Scale, values: impl Iterator<Item = f64>, pixels: (i32, i32)) -> Self {
        let (low, high) = values.fold((f64::INFINITY, 0.0), |(low, high), value| {
            (f64::min(low, value), f64::max(high, value))
        });
        let values = match scale {
            // Without values, the axis has an arbitrary range.
            Scale::Linear => (0.0, f64::max(high * 1.08, f64::MIN_POSITIVE)),
            Scale::Log => (low / 1.4, high * 1.4),
        };
        Self {
            scale,
            values,
            pixels,
        }
    }

    /// Returns the value at which the axis begins.
    pub fn begin(&self) -> f64 {
        self.values.0
    }

    pub fn pixel(&self, value: f64) -> i32 {
        let (begin, end) = self.values;
        let part = match self.scale {
            Scale::Linear => (value - begin) / (end - begin),
            Scale::Log => (value / begin).ln() / (end / begin).ln(),
        };
        let (from, to) = (f64::from(self.pixels.0), f64::from(self.pixels.1));
        (from + part.clamp(0.0, 1.0) * (to - from)).round() as i32
    }

    /// Returns a few round values.
    fn ticks(&self) -> Vec<f64> {
        let (begin, end) = self.values;
        match self.scale {
            Scale::Linear => {
                let step = round_step(end / 5.0);
                let count = (end / step) as u32;
                (0..=count).map(|number| f64::from(number) * step).collect()
            }
            Scale::Log => {
                let first = begin.log10().floor() as i32;
                let last = end.log10().ceil() as i32;
                let is_short = last - first <= 3;
                let digits = if is_short { &[1.0, 3.0][..] } else { &[1.0] };
                (first..=last)
                    .flat_map(|power| digits.iter().map(move |digit| digit * 10_f64.powi(power)))
                    .filter(|tick| (begin..=end).contains(tick))
                    .collect()
            }
        }
    }

    /// Draws the ticks on the left, with lines from there to the right.
    pub fn draw(&self, area: &Area<'_>, (left, right): (i32, i32)) -> Result<()> {
        for tick in self.ticks() {
            let height = self.pixel(tick);
            let line = vec![(left, height), (right, height)];
            area.draw(&PathElement::new(line, PALE.stroke_width(1)))?;
            let text = match tick {
                0.0 => "0".to_owned(),
                _ => short(tick),
            };
            label(area, text, (left - 4, height), (HPos::Right, VPos::Center))?;
        }
        Ok(())
    }
}

/// Returns the smallest of 1, 2, 5, 10, 20 and so on that is at least `least`.
fn round_step(least: f64) -> f64 {
    let power = 10_f64.powf(least.log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|digit| digit * power);
    let step = steps.into_iter().find(|step| *step >= least);
    step.unwrap_or(least)
}

/// Formats a value without trailing zeros.
fn short(value: f64) -> String {
    let text = match value {
        1_000.0.. => return format!("{}k", short(value / 1e3)),
        _ => format!("{value:.2}"),
    };
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}
