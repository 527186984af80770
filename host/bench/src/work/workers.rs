//! The memory of a server that serves nobody yet.

use super::Gauge;
use crate::sample::Sample;
use anyhow::Result;

pub fn run(gauge: &Gauge<'_>) -> Result<Sample> {
    let memory = gauge.server.memory()?;
    Ok(Sample {
        memory: Some(memory),
        ..Sample::of_value(memory.total_kib() / 1024.0)
    })
}
