//! The cost of many open connections.

use super::{Gauge, connect};
use crate::client::{Close, Message, SMALL, close};
use crate::sample::Sample;
use anyhow::Result;

pub async fn run(gauge: &Gauge<'_>, idle: u32, connectors: u32) -> Result<Sample> {
    // What a server allocates for its first connection is not part of the cost of the others.
    let mut first = gauge.route().connect().await?;
    Message::new(SMALL).exchange(&mut first).await?;
    let before = gauge.server.memory()?;
    let streams = gauge.route().connect_all(idle).await?;
    let memory = gauge.server.memory()?.growth(before, idle);
    let sample = connect::run(gauge, connectors, Close::Fin).await?;
    close(first, Close::Fin).await?;
    // They are closed with the server, which is not needed any more.
    drop(streams);
    Ok(Sample {
        memory: Some(memory),
        ..sample
    })
}
