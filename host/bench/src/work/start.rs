//! The time until a server serves.

use super::Gauge;
use crate::client::{Close, Message, SMALL, close};
use crate::sample::Sample;
use anyhow::Result;

/// Measures the time to the first echo of a server that has just been started.
pub async fn first_echo(gauge: &Gauge<'_>) -> Result<Sample> {
    let mut stream = gauge.route().connect().await?;
    Message::new(SMALL).exchange(&mut stream).await?;
    let elapsed = gauge.server.started().elapsed();
    close(stream, Close::Fin).await?;
    Ok(Sample::of_time(elapsed))
}
