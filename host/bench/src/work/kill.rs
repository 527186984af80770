//! Workers that are killed while they serve.

use super::Gauge;
use crate::client::{Load, Message, Route, SMALL};
use crate::family;
use crate::process::Process;
use crate::sample::{Latency, Sample};
use crate::sockets;
use anyhow::{Context, Result, ensure};
use rustix::process::{Pid, Signal, kill_process};
use std::collections::BTreeSet;
use std::time::{Duration, Instant};

/// How many workers are killed, one after the other. The server waits longer and longer before it
/// replaces a worker, so that a measurement does not take long.
const KILLS: u32 = 5;

/// How many connections exchange messages meanwhile.
pub const CONNECTIONS: u32 = 50;

/// The name of a worker.
const WORKER: &str = "evconn-worker";

/// How long a worker may take to be replaced, and a new connection to be answered.
const DEADLINE: Duration = Duration::from_secs(10);

/// How often to look whether a worker has been replaced.
const CHECK_PERIOD: Duration = Duration::from_millis(5);

/// Measures the longest time until a new connection is answered after a worker was killed, and counts the
/// connections of other workers that failed.
pub async fn run(gauge: &Gauge<'_>) -> Result<Sample> {
    let count = workers(gauge.server)?.len();
    ensure!(count > 0, "the server has no workers");
    let load = Load::start(gauge.route(), CONNECTIONS);
    let (mut times, mut others) = (Vec::new(), 0);
    for _ in 0..KILLS {
        let (time, failed) = kill_one(gauge, &load, count).await?;
        times.push(u32::try_from(time.as_nanos())?);
        others += failed;
    }
    load.stop().await;
    let longest = times.iter().max().copied().unwrap_or_default();
    Ok(Sample {
        latency: Latency::of(times),
        count: Some(others as f64),
        ..Sample::of_time(Duration::from_nanos(longest.into()))
    })
}

/// Kills the oldest worker. Returns the time until a new connection was answered, and how many connections
/// of other workers failed until the worker was replaced.
async fn kill_one(gauge: &Gauge<'_>, load: &Load, count: usize) -> Result<(Duration, usize)> {
    let open = load.all_open(DEADLINE).await?;
    let oldest = workers(gauge.server)?[0];
    let own = sockets::peers(oldest)?;
    let own: BTreeSet<_> = own.intersection(&open).copied().collect();
    let begin = Instant::now();
    kill(oldest)?;
    answered(gauge.route()).await?;
    let time = begin.elapsed();
    load.all_failed(&own, DEADLINE).await?;
    replaced(gauge.server, oldest, count).await?;
    load.all_open(DEADLINE).await?;
    let failed = load.failures();
    let others = open
        .intersection(&failed)
        .filter(|peer| !own.contains(peer));
    Ok((time, others.count()))
}

/// Returns the workers, the oldest first.
fn workers(server: &Process) -> Result<Vec<u32>> {
    let mut family = family::of(server.id())?;
    family.retain(|&process| family::name(process).as_deref() == Some(WORKER));
    Ok(family)
}

/// Waits until there are `count` workers without the one that was killed.
async fn replaced(server: &Process, killed: u32, count: usize) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        let workers = workers(server)?;
        if workers.len() == count && !workers.contains(&killed) {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "a worker was not replaced");
        tokio::time::sleep(CHECK_PERIOD).await;
    }
}

fn kill(process: u32) -> Result<()> {
    let process = Pid::from_raw(i32::try_from(process)?).context("no process")?;
    kill_process(process, Signal::KILL).context("the worker cannot be killed")
}

/// Waits until a new connection is answered. A worker that dies may have accepted the first one.
async fn answered(route: Route) -> Result<()> {
    let deadline = Instant::now() + DEADLINE;
    loop {
        match tokio::time::timeout_at(deadline.into(), echo(route)).await? {
            Ok(()) => return Ok(()),
            Err(error) => ensure!(Instant::now() < deadline, "no answer: {error:#}"),
        }
    }
}

async fn echo(route: Route) -> Result<()> {
    let mut stream = route.connect().await?;
    Message::new(SMALL).exchange(&mut stream).await
}
