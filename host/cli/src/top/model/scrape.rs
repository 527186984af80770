//! What is kept of each scrape of the metrics.

use super::causes::{self, Kind};
use super::openmetrics::{Families, Histogram};
use std::collections::BTreeMap;

/// The values of a scrape. `None` is what the server does not tell.
#[derive(Clone, Debug, Default)]
pub struct Scrape {
    /// When it was made, in seconds since the view began.
    pub time: f64,
    /// Whether what was before it is not continued: charts have a gap there.
    pub is_first: bool,
    pub accepted: Option<f64>,
    pub refused: Option<f64>,
    pub failed: Option<f64>,
    pub open: Option<f64>,
    pub instances: Option<f64>,
    pub received: Option<f64>,
    pub sent: Option<f64>,
    pub cpu: Option<f64>,
    pub resident: Option<f64>,
    pub guests: Option<f64>,
    pub first_byte: Histogram,
    pub duration: Histogram,
    pub lag: Histogram,
    /// Ends and refusals, by cause.
    pub ends: BTreeMap<String, f64>,
}

impl Scrape {
    pub fn of(families: &Families, time: f64) -> Self {
        let mut ends = families.by("evconn_connections_ended_total", "cause");
        ends.extend(families.by("evconn_connections_refused_total", "cause"));
        let failures = ends
            .iter()
            .filter(|(cause, _)| causes::of(cause).0 == Kind::Failed);
        Self {
            time,
            is_first: false,
            accepted: families.sum("evconn_connections_accepted_total"),
            refused: families.sum("evconn_connections_refused_total"),
            failed: Some(failures.map(|(_, count)| count).sum()),
            open: families.sum("evconn_connections_open"),
            instances: families.sum("evconn_instances_open"),
            received: families.sum("evconn_connections_received_bytes_total"),
            sent: families.sum("evconn_connections_sent_bytes_total"),
            cpu: families.sum("evconn_guest_cpu_seconds_total"),
            resident: families.sum("evconn_process_resident_memory_bytes"),
            guests: families.sum("evconn_guest_memory_bytes"),
            first_byte: families.histogram("evconn_connection_first_byte_seconds"),
            duration: families.histogram("evconn_connection_duration_seconds"),
            lag: families.histogram("evconn_event_loop_lag_seconds"),
            ends,
        }
    }
}
