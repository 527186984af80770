//! The result of a measurement, and statistics of several results.

use crate::usage::Memory;
use serde::{Deserialize, Serialize};
use std::time::Duration;

/// The result of measuring a server once.
#[derive(Clone, Debug, Serialize)]
pub struct Sample {
    /// The throughput in the work's unit, operations or megabytes per second, or the time taken in
    /// milliseconds.
    pub value: f64,
    pub latency: Option<Latency>,
    pub cpu: Option<Cpu>,
    pub memory: Option<Memory>,
    /// What the work counts besides, if it does.
    pub count: Option<f64>,
}

impl Sample {
    /// Returns the sample of something that took this long.
    pub fn of_time(elapsed: Duration) -> Self {
        Self::of_value(elapsed.as_secs_f64() * 1e3)
    }

    /// Returns a sample with this value only.
    pub fn of_value(value: f64) -> Self {
        Self {
            value,
            latency: None,
            cpu: None,
            memory: None,
            count: None,
        }
    }
}

/// The latency of an operation, in microseconds, as percentiles.
#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
pub struct Latency {
    pub p50: f64,
    pub p99: f64,
    pub p999: f64,
}

impl Latency {
    /// Returns the latency from times in nanoseconds, if there are any.
    pub fn of(mut times: Vec<u32>) -> Option<Self> {
        times.sort_unstable();
        let last = times.len().checked_sub(1)?;
        let at = |part: f64| f64::from(times[(last as f64 * part).round() as usize]) / 1e3;
        Some(Self {
            p50: at(0.5),
            p99: at(0.99),
            p999: at(0.999),
        })
    }

    /// Returns the median of each figure over several measurements, if there are any.
    pub fn median(of: impl Iterator<Item = Self>) -> Option<Self> {
        let all: Vec<_> = of.collect();
        let median = |part: fn(&Self) -> f64| Spread::of(all.iter().map(part)).map(|it| it.median);
        Some(Self {
            p50: median(|it| it.p50)?,
            p99: median(|it| it.p99)?,
            p999: median(|it| it.p999)?,
        })
    }
}

/// Processor time for each operation, in microseconds.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Cpu {
    pub server: f64,
    pub client: f64,
}

impl Cpu {
    pub fn of(server: Duration, client: Duration, operations: f64) -> Self {
        let each = |time: Duration| time.as_secs_f64() * 1e6 / operations;
        Self {
            server: each(server),
            client: each(client),
        }
    }
}

/// The median and the range of several values.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Spread {
    pub median: f64,
    pub min: f64,
    pub max: f64,
}

impl Spread {
    /// Returns the spread of these values, if there are any.
    pub fn of(values: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut values: Vec<f64> = values.into_iter().collect();
        values.sort_by(f64::total_cmp);
        let middle = values.len() / 2;
        let median = match values.len() {
            0 => return None,
            odd if odd % 2 == 1 => values[middle],
            _ => values[middle - 1].midpoint(values[middle]),
        };
        Some(Self {
            median,
            min: *values.first()?,
            max: *values.last()?,
        })
    }

    pub fn scaled(self, by: f64) -> Self {
        Self {
            median: self.median * by,
            min: self.min * by,
            max: self.max * by,
        }
    }
}
