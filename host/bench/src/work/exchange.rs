//! Messages and their echoes on open connections.

use super::{Gauge, bulk};
use crate::client::{Laps, Message, SMALL, all, close_all};
use crate::sample::Sample;
use anyhow::Result;
use tokio::net::TcpStream;

/// The size of a write in a bulk transfer.
const BULK: usize = 16 << 10;

pub async fn round_trips(gauge: &Gauge<'_>, size: usize, connections: u32) -> Result<Sample> {
    let streams = gauge.route().connect_all(connections).await?;
    let (sample, streams) = exchange(gauge, streams, size, size).await?;
    close_all(streams).await?;
    Ok(sample)
}

pub async fn one_active(gauge: &Gauge<'_>, connections: u32) -> Result<Sample> {
    let mut idle = gauge.route().connect_all(connections).await?;
    let active = idle.split_off(idle.len() - 1);
    let (sample, active) = exchange(gauge, active, SMALL, SMALL).await?;
    close_all(active).await?;
    close_all(idle).await?;
    Ok(sample)
}

pub async fn pairs(gauge: &Gauge<'_>, connections: u32) -> Result<Sample> {
    let streams = gauge.route().connect_all(connections).await?;
    let (sample, streams) = exchange(gauge, streams, 2, 1).await?;
    close_all(streams).await?;
    Ok(sample)
}

/// Measures round trips beside bulk transfers. Processor time is left out, since most of it is that of
/// the transfers.
pub async fn beside_bulk(gauge: &Gauge<'_>, others: u32) -> Result<Sample> {
    let mut streams = gauge.route().connect_all(others + 1).await?;
    let one = streams.split_off(streams.len() - 1);
    let deadline = gauge.begin()?.deadline;
    let pumping = streams
        .into_iter()
        .map(|stream| bulk::fill_and_drain(stream, BULK, deadline));
    let ((mut sample, one), _) =
        tokio::try_join!(exchange(gauge, one, SMALL, SMALL), all(pumping))?;
    close_all(one).await?;
    sample.cpu = None;
    Ok(sample)
}

/// Exchanges messages of one size, in pieces of another, on all connections.
async fn exchange(
    gauge: &Gauge<'_>,
    streams: Vec<TcpStream>,
    size: usize,
    piece: usize,
) -> Result<(Sample, Vec<TcpStream>)> {
    let stretch = gauge.begin()?;
    let deadline = stretch.deadline;
    let exchanging = streams.into_iter().map(|mut stream| async move {
        let mut message = Message::new(size);
        let mut laps = Laps::until(deadline);
        while laps.go_on() {
            if piece < size {
                message.exchange_in_pieces(&mut stream, piece).await?;
            } else {
                message.exchange(&mut stream).await?;
            }
            laps.lap();
        }
        Ok((laps.times(), stream))
    });
    let (times, streams): (Vec<_>, Vec<_>) = all(exchanging).await?.into_iter().unzip();
    let times = times.concat();
    Ok((stretch.end(times.len() as f64, times)?, streams))
}
