//! Connections at a steady rate, which leaves a server the time to make an instance ahead of the next one.

use super::Gauge;
use crate::kit::Language;
use crate::sample::{Latency, Sample};
use anyhow::{Context, Result, ensure};
use std::time::{Duration, Instant};
use tokio::io::{AsyncReadExt, AsyncWriteExt};

/// The time between two connections.
const INTERVAL: Duration = Duration::from_millis(100);

const COUNT: usize = 30;

/// Measures the time from a connection's begin to the first byte of its answer.
pub async fn first_bytes(gauge: &Gauge<'_>, language: Language) -> Result<Sample> {
    let (line, _) = language.dialogue();
    let mut ticks = tokio::time::interval(INTERVAL);
    let mut times = Vec::with_capacity(COUNT);
    for _ in 0..COUNT {
        ticks.tick().await;
        let begin = Instant::now();
        let mut stream = gauge.route().connect().await?;
        let sent = stream.write_all(line.as_bytes()).await;
        sent.context("cannot send")?;
        let received = stream.read(&mut [0]).await.context("no answer")?;
        ensure!(received == 1, "the connection ends without an answer");
        times.push(u32::try_from(begin.elapsed().as_nanos())?);
    }
    let latency = Latency::of(times).context("nothing was measured")?;
    Ok(Sample {
        latency: Some(latency),
        ..Sample::of_value(latency.p50 / 1e3)
    })
}
