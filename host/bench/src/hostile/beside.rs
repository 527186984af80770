//! Good connections beside hostile ones.

use super::act::Act;
use super::bad::{self, Crowd, Deeds, Mode};
use super::good;
use super::helper::Helper;
use super::options::Options;
use super::server::Site;
use super::table::{Measured, Row};
use super::watch::Most;
use super::window::Noticed;
use anyhow::{Context, Result};
use std::time::Duration;

/// Measures the good connections alone and beside hostile ones, on one server.
pub fn measure(site: &Site, options: &Options, act: Act) -> Result<Measured> {
    let server = site.start_behind(act.front)?;
    let duration = options.duration();
    let mut good = good::start(server.address(), act.front).context("good connections")?;
    let alone = || Ok(None);
    let mut rows = vec![row("alone", &mut good, server.id(), duration, alone)?];
    for mode in [Mode::Staying, Mode::Returning] {
        let crowd = Crowd {
            server: server.address(),
            count: options.hostile,
            addresses: bad::ADDRESSES,
            line: act.line.to_owned(),
            manner: act.manner,
            mode,
        };
        let bad = crowd.start().context("hostile connections")?;
        let end = || bad.end().map(Some);
        rows.push(row(mode.name(), &mut good, server.id(), duration, end)?);
    }
    Ok(Measured { act, rows })
}

/// Measures once. `end` ends the hostile connections.
fn row(
    name: &'static str,
    good: &mut Helper,
    server: u32,
    duration: Duration,
    end: impl FnOnce() -> Result<Option<Deeds>>,
) -> Result<Row> {
    let (noticed, most) = window(good, server, duration)?;
    Ok(Row {
        name,
        noticed,
        deeds: end()?,
        most,
    })
}

/// Measures the good connections for this time, and what the server has at most.
pub fn window(good: &mut Helper, server: u32, duration: Duration) -> Result<(Noticed, Most)> {
    good.tell(&duration.as_millis().to_string())?;
    let mut most = Most::default();
    most.watch(server, duration)?;
    Ok((good.hear()?, most))
}
