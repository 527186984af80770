//! The results of all rounds.

use crate::peers::Peer;
use crate::rounds::{Measured, PeerMeasured};
use crate::sample::{Sample, Spread};
use crate::work::Work;
use serde::Serialize;

/// All servers under one work.
pub struct Block<'a> {
    pub work: Work,
    pub rows: Vec<Row<'a>>,
}

/// One server.
#[derive(Serialize)]
pub struct Row<'a> {
    pub peer: Peer,
    /// One for each measurement.
    #[serde(rename = "turns")]
    pub samples: &'a [Sample],
    /// What went wrong, if something did. There are no samples then.
    pub error: Option<String>,
    /// The unit is the work's, as with [`Sample::value`].
    pub value: Option<Spread>,
    /// The ratio to tokio, as measured just before.
    pub ratio: Option<Spread>,
    /// In microseconds: half of the operations, 99 % and 99.9 % were not slower.
    pub p50: Option<Spread>,
    pub p99: Option<Spread>,
    pub p999: Option<Spread>,
    pub p99_ratio: Option<Spread>,
    /// Processor time for each operation, in microseconds.
    pub server_cpu: Option<Spread>,
    pub client_cpu: Option<Spread>,
    /// KiB: for each idle connection, or of the whole server.
    pub proportional: Option<Spread>,
    pub page_tables: Option<Spread>,
    pub memory: Option<Spread>,
    /// What the work counts besides.
    pub count: Option<Spread>,
}

impl<'a> Block<'a> {
    pub fn of(measured: &'a Measured) -> Self {
        let tokio = measured.peers.iter().find(|it| it.peer == Peer::Tokio);
        let tokio = tokio.map_or(&[][..], samples);
        Self {
            work: measured.work,
            rows: measured.peers.iter().map(|it| Row::of(it, tokio)).collect(),
        }
    }

    pub fn row(&self, peer: Peer) -> Option<&Row<'a>> {
        self.rows.iter().find(|row| row.peer == peer)
    }
}

impl<'a> Row<'a> {
    fn of(measured: &'a PeerMeasured, tokio: &[Sample]) -> Self {
        let samples = samples(measured);
        let spread = |of: fn(&Sample) -> Option<f64>| Spread::of(samples.iter().filter_map(of));
        let ratio = |of: fn(&Sample) -> Option<f64>| {
            let neighbours = samples.iter().zip(tokio);
            Spread::of(neighbours.filter_map(|(this, tokio)| Some(of(this)? / of(tokio)?)))
        };
        Self {
            peer: measured.peer,
            samples,
            error: measured.samples.as_ref().err().map(|it| format!("{it:#}")),
            value: spread(|it| Some(it.value)),
            ratio: ratio(|it| Some(it.value)),
            p50: spread(|it| Some(it.latency?.p50)),
            p99: spread(|it| Some(it.latency?.p99)),
            p999: spread(|it| Some(it.latency?.p999)),
            p99_ratio: ratio(|it| Some(it.latency?.p99)),
            server_cpu: spread(|it| Some(it.cpu?.server)),
            client_cpu: spread(|it| Some(it.cpu?.client)),
            proportional: spread(|it| Some(it.memory?.proportional_kib)),
            page_tables: spread(|it| Some(it.memory?.page_tables_kib)),
            memory: spread(|it| Some(it.memory?.total_kib())),
            count: spread(|it| it.count),
        }
    }
}

fn samples(measured: &PeerMeasured) -> &[Sample] {
    measured.samples.as_deref().unwrap_or_default()
}
