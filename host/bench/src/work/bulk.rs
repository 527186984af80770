//! Bulk transfer: as many bytes as possible, in both directions.

use super::Gauge;
use crate::client::{BYTE, all};
use crate::sample::Sample;
use anyhow::{Context, Result, ensure};
use std::time::Instant;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{ReadHalf, WriteHalf};

/// The most bytes that are read at once.
const BUFFER: usize = 256 << 10;

pub async fn run(gauge: &Gauge<'_>, write: usize, connections: u32) -> Result<Sample> {
    let streams = gauge.route().connect_all(connections).await?;
    let stretch = gauge.begin()?;
    let deadline = stretch.deadline;
    let pumping = streams
        .into_iter()
        .map(|stream| fill_and_drain(stream, write, deadline));
    let counts = all(pumping).await?;
    let megabytes = counts.iter().sum::<usize>() as f64 / 1e6;
    stretch.end(megabytes, Vec::new())
}

/// Sends and receives until the deadline. Returns how many bytes were echoed.
pub async fn fill_and_drain(
    mut stream: TcpStream,
    write: usize,
    deadline: Instant,
) -> Result<usize> {
    let (input, output) = stream.split();
    // At the same time: the server stops reading while its peer does not read.
    let (sent, received) = tokio::try_join!(fill(output, write, deadline), drain(input))?;
    ensure!(sent == received, "of {sent} bytes, {received} came back");
    Ok(received)
}

/// Sends until the deadline. Returns how many bytes were sent.
async fn fill(mut output: WriteHalf<'_>, write: usize, deadline: Instant) -> Result<usize> {
    let chunk = vec![BYTE; write];
    let mut sent = 0;
    while Instant::now() < deadline {
        output.write_all(&chunk).await.context("cannot send")?;
        sent += chunk.len();
    }
    output.shutdown().await.context("cannot shut down")?;
    Ok(sent)
}

/// Reads to the end. Returns how many bytes were received.
async fn drain(mut input: ReadHalf<'_>) -> Result<usize> {
    let mut buffer = vec![0; BUFFER];
    let mut received = 0;
    loop {
        match input.read(&mut buffer).await.context("no clean end")? {
            0 => return Ok(received),
            count => received += count,
        }
    }
}
