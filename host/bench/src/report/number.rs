//! Numbers as they are printed: three digits tell more than the noise leaves.

use crate::sample::Spread;

pub fn number(value: f64) -> String {
    let decimals = match value.abs() {
        ..9.995 => 2,
        ..99.95 => 1,
        _ => 0,
    };
    format!("{value:.decimals$}")
}

/// The median alone.
pub fn median(spread: Option<Spread>) -> String {
    spread.map_or_else(none, |spread| number(spread.median))
}

/// The median, and from where to where.
pub fn spread(spread: Option<Spread>) -> String {
    spread.map_or_else(none, |Spread { median, min, max }| {
        format!("{} ({}–{})", number(median), number(min), number(max))
    })
}

fn none() -> String {
    "–".to_owned()
}
