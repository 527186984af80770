//! Short connections to a service whose instances are costly to make.

use super::Gauge;
use crate::client::{Laps, all, ask};
use crate::kit::Language;
use crate::sample::Sample;
use anyhow::Result;

pub async fn run(gauge: &Gauge<'_>, language: Language, parallel: u32) -> Result<Sample> {
    let route = gauge.route();
    let (line, answer) = language.dialogue();
    let stretch = gauge.begin()?;
    let deadline = stretch.deadline;
    let askers = (0..parallel).map(|_| async move {
        let mut laps = Laps::until(deadline);
        while laps.go_on() {
            ask(route.connect().await?, line, answer).await?;
            laps.lap();
        }
        Ok(laps.times())
    });
    let times = all(askers).await?.concat();
    stretch.end(times.len() as f64, times)
}
