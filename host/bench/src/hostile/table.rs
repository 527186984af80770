//! The figures as tables.

use super::act::Act;
use super::bad::Deeds;
use super::watch::Most;
use super::window::Noticed;
use crate::report::{Grid, number};
use crate::sample::Latency;

/// The figures of an act.
pub struct Measured {
    pub act: Act,
    /// The first one is without hostile connections.
    pub rows: Vec<Row>,
}

pub struct Row {
    name: &'static str,
    /// What was noticed in each round.
    rounds: Vec<Noticed>,
    /// What the hostile connections did, if there were any.
    deeds: Option<Deeds>,
    most: Most,
}

impl Row {
    pub fn new(name: &'static str) -> Self {
        Self {
            name,
            rounds: Vec::new(),
            deeds: None,
            most: Most::default(),
        }
    }

    /// Adds a round.
    pub fn add(&mut self, noticed: Noticed, most: Most, deeds: Option<Deeds>) {
        self.rounds.push(noticed);
        self.most = self.most.of_both(most);
        if let Some(deeds) = deeds {
            self.deeds = Some(self.deeds.unwrap_or_default().of_both(deeds));
        }
    }

    fn noticed(&self) -> Noticed {
        Noticed::of_rounds(&self.rounds)
    }

    fn p99(&self) -> Option<f64> {
        self.noticed().latency.map(|latency| latency.p99)
    }
}

impl Measured {
    /// Returns p99 in relation to that without hostile connections.
    fn ratio(&self, row: &Row) -> String {
        let ratio = self.rows.first().and_then(Row::p99).zip(row.p99());
        or_none(ratio.map(|(alone, beside)| beside / alone))
    }
}

/// Returns the table of an act.
pub fn of(measured: &Measured) -> Grid {
    let row = |row: &Row| {
        let noticed = row.noticed();
        let of = |part: fn(Latency) -> f64| or_none(noticed.latency.map(part));
        let deed =
            |of: fn(Deeds) -> u64| row.deeds.map_or("–".to_owned(), |it| of(it).to_string());
        vec![
            row.name.to_owned(),
            of(|it| it.p50),
            of(|it| it.p99),
            of(|it| it.p999),
            number(noticed.longest),
            measured.ratio(row),
            errors(&noticed),
            or_none(noticed.late.map(|late| late.p99)),
            deed(|it| it.begun),
            deed(|it| it.ended),
            row.most.descriptors.to_string(),
            number(row.most.memory_mib),
        ]
    };
    let Act { name, about, .. } = measured.act;
    Grid {
        title: format!("{name}: {about}"),
        head: head(&[
            "hostile",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "max µs",
            "p99 ratio",
            "errors",
            "client p99 µs",
            "acts",
            "ended",
            "descriptors",
            "RSS MiB",
        ]),
        rows: measured.rows.iter().map(row).collect(),
    }
}

/// Returns a table with a row for each act.
pub fn summary(all: &[Measured]) -> Grid {
    let row = |measured: &Measured| {
        let mut cells = vec![measured.act.name.to_owned()];
        for row in &measured.rows {
            cells.push(or_none(row.p99()));
        }
        for row in measured.rows.iter().skip(1) {
            cells.push(measured.ratio(row));
        }
        let errors = measured.rows.iter().map(|row| row.noticed().errors());
        cells.push(errors.sum::<u64>().to_string());
        cells
    };
    Grid {
        title: "p99 in µs of good connections, and its ratio to that without hostile ones"
            .to_owned(),
        head: head(&[
            "act",
            "alone",
            "staying",
            "returning",
            "ratio",
            "ratio returning",
            "errors",
        ]),
        rows: all.iter().map(row).collect(),
    }
}

fn errors(noticed: &Noticed) -> String {
    match &noticed.failure {
        Some(failure) => format!("{} ({failure})", noticed.errors()),
        None => noticed.errors().to_string(),
    }
}

pub fn head(names: &[&str]) -> Vec<String> {
    names.iter().map(|&name| name.to_owned()).collect()
}

pub fn or_none(value: Option<f64>) -> String {
    value.map_or("–".to_owned(), number)
}
