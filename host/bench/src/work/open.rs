//! The cost of many open connections.

use super::{Gauge, connect};
use crate::client::{Close, close_all};
use crate::sample::Sample;
use anyhow::Result;

/// How many connections are open before the others: enough for each worker to have some.
pub const FIRST: u32 = 32;

pub async fn run(gauge: &Gauge<'_>, idle: u32, connectors: u32) -> Result<Sample> {
    // What a process allocates for its first connection is not part of the cost of the others.
    let first = gauge.route().connect_all(FIRST).await?;
    let before = gauge.server.memory()?;
    let streams = gauge.route().connect_all(idle).await?;
    let memory = gauge.server.memory()?.growth(before, idle);
    let sample = connect::run(gauge, connectors, Close::Fin).await?;
    close_all(first).await?;
    // They are closed with the server, which is not needed any more.
    drop(streams);
    Ok(Sample {
        memory: Some(memory),
        ..sample
    })
}
