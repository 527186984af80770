//! Short connections, one after the other.

use super::Gauge;
use crate::client::{Close, Laps, Message, SMALL, all, close};
use crate::sample::Sample;
use anyhow::Result;

pub async fn run(gauge: &Gauge<'_>, parallel: u32, how: Close) -> Result<Sample> {
    let route = gauge.route();
    let stretch = gauge.begin()?;
    let deadline = stretch.deadline;
    let connectors = (0..parallel).map(|_| async move {
        let mut message = Message::new(SMALL);
        let mut laps = Laps::until(deadline);
        while laps.go_on() {
            let mut stream = route.connect().await?;
            message.exchange(&mut stream).await?;
            close(stream, how).await?;
            laps.lap();
        }
        Ok(laps.times())
    });
    let times = all(connectors).await?.concat();
    stretch.end(times.len() as f64, times)
}
