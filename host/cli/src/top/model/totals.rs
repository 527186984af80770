//! What has happened since a server was started.

use super::history::quantile;
use super::numbers::{bytes, seconds, whole};
use super::openmetrics::Histogram;
use super::scrape::Scrape;

/// Returns the names of the totals, and their values; a dash for what the server does not tell.
pub fn totals(scrape: &Scrape) -> Vec<(&'static str, String)> {
    let known =
        |value: Option<f64>, text: fn(f64) -> String| value.map_or_else(|| "–".to_owned(), text);
    let count = |value| known(value, |value| whole(value as u64));
    let of = |histogram: &Histogram, q| known(quantile(q, &Histogram::new(), histogram), seconds);
    vec![
        ("accepted", count(scrape.accepted)),
        ("refused", count(scrape.refused)),
        ("failed", count(scrape.failed)),
        ("connections", count(scrape.open)),
        ("instances", count(scrape.instances)),
        ("received", known(scrape.received, bytes)),
        ("sent", known(scrape.sent, bytes)),
        ("guest CPU", known(scrape.cpu, seconds)),
        ("memory", known(scrape.resident, bytes)),
        ("guest memory", known(scrape.guests, bytes)),
        ("first byte p50", of(&scrape.first_byte, 0.5)),
        ("first byte p99", of(&scrape.first_byte, 0.99)),
        ("duration p50", of(&scrape.duration, 0.5)),
        ("duration p99", of(&scrape.duration, 0.99)),
        ("loop lag p50", of(&scrape.lag, 0.5)),
        ("loop lag p99", of(&scrape.lag, 0.99)),
    ]
}
