//! More idle connections than a process can have descriptors.

use super::Gauge;
use crate::client::Holder;
use crate::sample::Sample;
use anyhow::{Result, ensure};
use std::time::Instant;

/// The most connections of a process, of the client and of the server.
pub const OF_A_PROCESS: u32 = 10_000;

/// Measures how long it takes to open the connections, how many are open, and the server's memory.
pub async fn run(gauge: &Gauge<'_>, connections: u32) -> Result<Sample> {
    // What a worker allocates once counts for little among so many connections.
    let before = gauge.server.memory()?;

    let begin = Instant::now();
    let full = connections / OF_A_PROCESS;
    let counts = (0..full).map(|_| OF_A_PROCESS);
    let counts = counts
        .chain([connections % OF_A_PROCESS])
        .filter(|&count| count > 0);
    let holders = counts.map(|count| Holder::start(gauge.route(), count));
    let mut holders: Vec<Holder> = holders.collect::<Result<_>>()?;
    let mut opened = 0;
    for holder in &mut holders {
        opened += holder.count()?;
    }
    let elapsed = begin.elapsed();
    ensure!(opened > 0, "no connection was opened");
    let memory = gauge.server.memory()?.growth(before, opened);

    let mut open = 0;
    for holder in holders {
        open += holder.still_open()?;
    }
    Ok(Sample {
        memory: Some(memory),
        count: Some(open.into()),
        ..Sample::of_time(elapsed)
    })
}
