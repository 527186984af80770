//! What is shown over time.

use super::history::History;
use super::numbers::{bytes, cores, quantity, seconds};

/// Seconds that a rate is an average of. Bytes and CPU time are counted every 5 seconds.
const CONNECTIONS: f64 = 4.0;
const COUNTED_SLOWLY: f64 = 10.0;

/// Maximum number of series of a group.
pub const SERIES: usize = 3;

/// Series that a chart has in common.
pub struct Group {
    pub name: &'static str,
    /// What the values are of, if the name does not say it.
    pub note: &'static str,
    pub unit: Unit,
    pub series: &'static [Series],
}

pub struct Series {
    /// Its name in its group, where there is space and where there is little.
    pub name: &'static str,
    pub short_name: &'static str,
    /// Its name where it stands alone.
    pub full_name: &'static str,
    /// Returns its value at the time of the newest scrape.
    pub value: fn(&History) -> Option<f64>,
}

const fn series(
    [name, short_name, full_name]: [&'static str; 3],
    value: fn(&History) -> Option<f64>,
) -> Series {
    Series {
        name,
        short_name,
        full_name,
        value,
    }
}

#[derive(Clone, Copy)]
pub enum Unit {
    Count,
    PerSecond,
    Bytes,
    BytesPerSecond,
    Cores,
    Seconds,
}

impl Unit {
    pub fn text(self, value: f64) -> String {
        match self {
            Self::Count => quantity(value),
            Self::PerSecond => format!("{}/s", quantity(value)),
            Self::Bytes => bytes(value),
            Self::BytesPerSecond => format!("{}/s", bytes(value)),
            Self::Cores => cores(value),
            Self::Seconds => seconds(value),
        }
    }

    /// Returns the text of a value, or a dash for none.
    pub fn known(self, value: Option<f64>) -> String {
        value.map_or_else(|| "–".to_owned(), |value| self.text(value))
    }
}

/// The groups. Where there are two columns, the first four are in the first one.
pub const GROUPS: [Group; 8] = [
    Group {
        name: "Connections",
        note: "per second",
        unit: Unit::PerSecond,
        series: &[
            series(["accepted", "acc", "accepted"], |h| {
                h.rate(|s| s.accepted, CONNECTIONS)
            }),
            series(["refused", "ref", "refused"], |h| {
                h.rate(|s| s.refused, CONNECTIONS)
            }),
            series(["failed", "fail", "failed"], |h| {
                h.rate(|s| s.failed, CONNECTIONS)
            }),
        ],
    },
    Group {
        name: "Open",
        note: "",
        unit: Unit::Count,
        series: &[
            series(["connections", "conn", "connections"], |h| h.newest()?.open),
            series(["instances", "inst", "instances"], |h| {
                h.newest()?.instances
            }),
        ],
    },
    Group {
        name: "Guest CPU",
        note: "10 s average",
        unit: Unit::Cores,
        series: &[series(["used", "used", "guest CPU"], |h| {
            h.rate(|s| s.cpu, COUNTED_SLOWLY)
        })],
    },
    Group {
        name: "Memory",
        note: "resident, of guests",
        unit: Unit::Bytes,
        series: &[
            series(["processes", "rss", "memory"], |h| h.newest()?.resident),
            series(["guests", "guest", "guest memory"], |h| h.newest()?.guests),
        ],
    },
    Group {
        name: "Traffic",
        note: "10 s average",
        unit: Unit::BytesPerSecond,
        series: &[
            series(["received", "in", "received"], |h| {
                h.rate(|s| s.received, COUNTED_SLOWLY)
            }),
            series(["sent", "out", "sent"], |h| {
                h.rate(|s| s.sent, COUNTED_SLOWLY)
            }),
        ],
    },
    Group {
        name: "First byte",
        note: "last 30 s",
        unit: Unit::Seconds,
        series: &[
            series(["p50", "p50", "first byte p50"], |h| {
                h.quantile(|s| &s.first_byte, 0.5)
            }),
            series(["p99", "p99", "first byte p99"], |h| {
                h.quantile(|s| &s.first_byte, 0.99)
            }),
        ],
    },
    Group {
        name: "Duration",
        note: "last 30 s",
        unit: Unit::Seconds,
        series: &[
            series(["p50", "p50", "duration p50"], |h| {
                h.quantile(|s| &s.duration, 0.5)
            }),
            series(["p99", "p99", "duration p99"], |h| {
                h.quantile(|s| &s.duration, 0.99)
            }),
        ],
    },
    Group {
        name: "Event-loop lag",
        note: "last 30 s",
        unit: Unit::Seconds,
        series: &[
            series(["p50", "p50", "loop lag p50"], |h| {
                h.quantile(|s| &s.lag, 0.5)
            }),
            series(["p99", "p99", "loop lag p99"], |h| {
                h.quantile(|s| &s.lag, 0.99)
            }),
        ],
    },
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_has_no_more_series_than_there_is_space_for() {
        for group in &GROUPS {
            assert!((1..=SERIES).contains(&group.series.len()), "{}", group.name);
        }
    }
}
