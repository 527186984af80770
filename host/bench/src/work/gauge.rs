//! Measures what a server and the client do within a period.

use super::Tools;
use crate::client::Route;
use crate::process::Process;
use crate::sample::{Cpu, Latency, Sample};
use crate::usage::{self, CpuTimes};
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// The timeout of a measurement, including opening and closing its connections: up to 30,000.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Gauge<'a> {
    pub server: &'a Process,
    tools: &'a Tools<'a>,
}

/// A period that has begun.
pub struct Stretch<'a> {
    gauge: &'a Gauge<'a>,
    begin: Instant,
    server: CpuTimes,
    client: Duration,
    /// When the last operation may begin.
    pub deadline: Instant,
}

impl<'a> Gauge<'a> {
    pub fn new(server: &'a Process, tools: &'a Tools<'a>) -> Self {
        Self { server, tools }
    }

    /// Returns a route with an address that no other measurement connects from.
    pub fn route(&self) -> Route {
        Route {
            server: self.server.address(),
            source: self.tools.sources.next(),
        }
    }

    pub async fn within_deadline<T>(&self, work: impl Future<Output = Result<T>>) -> Result<T> {
        tokio::time::timeout(DEADLINE, work)
            .await
            .with_context(|| format!("not done after {DEADLINE:?}"))
            .flatten()
    }

    pub fn begin(&self) -> Result<Stretch<'_>> {
        let server = self.server.cpu_times()?;
        // Not its descendants: the server is one of them.
        let client = usage::cpu_time(std::process::id())?;
        let begin = Instant::now();
        Ok(Stretch {
            gauge: self,
            begin,
            server,
            client,
            deadline: begin + self.tools.duration,
        })
    }
}

impl Stretch<'_> {
    /// Ends the period, in which this many operations were done, and returns the sample. `times` has the
    /// duration of each operation in nanoseconds, if it was measured.
    pub fn end(self, operations: f64, times: Vec<u32>) -> Result<Sample> {
        let elapsed = self.begin.elapsed();
        let client = usage::cpu_time(std::process::id())? - self.client;
        let server = self.gauge.server.cpu_times()?.since(&self.server);
        Ok(Sample {
            value: operations / elapsed.as_secs_f64(),
            latency: Latency::of(times),
            cpu: Some(Cpu::of(server, client, operations)),
            memory: None,
            count: None,
        })
    }
}
