//! Formats numbers with three digits, which is as precise as the noise allows.

use crate::sample::Spread;

pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// Formats the median.
pub fn median(spread: Option<Spread>) -> String {
    spread.map_or_else(none, |spread| number(spread.median))
}

/// Formats the median and the range.
pub fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(none, |Spread { median, min, max }| {
        format!("{} ({}–{})", number(median), number(min), number(max))
    })
}

/// Formats the median and the range of counts.
pub fn count(spread: Option<Spread>) -> String {
    spread.map_or_else(none, |Spread { median, min, max }| {
        format!("{median:.0} ({min:.0}–{max:.0})")
    })
}

fn none() -> String {
    "–".to_owned()
}
