//! What a server and the client do in a stretch of time.

use super::Tools;
use crate::client::Route;
use crate::process::Process;
use crate::sample::{Cpu, Latency, Sample};
use crate::usage;
use anyhow::{Context, Result};
use std::time::{Duration, Instant};

/// How long one measurement may take, with its connections opened and closed.
const DEADLINE: Duration = Duration::from_secs(30);

pub struct Gauge<'a> {
    pub server: &'a Process,
    tools: &'a Tools<'a>,
}

/// A stretch of time that has begun.
pub struct Stretch<'a> {
    gauge: &'a Gauge<'a>,
    begin: Instant,
    server: Duration,
    client: Duration,
    /// When no more operations are to begin.
    pub deadline: Instant,
}

impl<'a> Gauge<'a> {
    pub fn new(server: &'a Process, tools: &'a Tools<'a>) -> Self {
        Self { server, tools }
    }

    /// A way to the server that no other connection took.
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
        let server = self.server.cpu_time()?;
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
    /// So many operations were done. The times are those of each, in nanoseconds, where they were
    /// taken.
    pub fn end(self, operations: f64, times: Vec<u32>) -> Result<Sample> {
        let elapsed = self.begin.elapsed();
        let client = usage::cpu_time(std::process::id())? - self.client;
        let server = self.gauge.server.cpu_time()? - self.server;
        Ok(Sample {
            value: operations / elapsed.as_secs_f64(),
            latency: Latency::of(times),
            cpu: Some(Cpu::of(server, client, operations)),
            memory: None,
        })
    }
}
