//! Good connections beside hostile ones.

use super::act::Act;
use super::bad::{self, Crowd, Mode};
use super::good;
use super::helper::Helper;
use super::options::Options;
use super::server::Site;
use super::table::{Measured, Row};
use super::watch::Most;
use super::window::Noticed;
use anyhow::{Context, Result};
use std::net::SocketAddr;
use std::time::Duration;

/// Who is there beside the good connections.
const ROWS: [(&str, Option<Mode>); 3] = [
    ("alone", None),
    (Mode::Staying.name(), Some(Mode::Staying)),
    (Mode::Returning.name(), Some(Mode::Returning)),
];

/// Measures the good connections alone and beside hostile ones, on one server, in turn.
pub fn measure(site: &Site, options: &Options, act: Act) -> Result<Measured> {
    let server = site.start_behind(act.front)?;
    let mut good = good::start(server.address(), act.front).context("good connections")?;
    let mut rows = ROWS.map(|(name, _)| Row::new(name));
    for _ in 0..options.rounds {
        for (row, (_, mode)) in rows.iter_mut().zip(ROWS) {
            let bad = mode.map(|mode| crowd(server.address(), options, act, mode).start());
            let bad = bad.transpose().context("hostile connections")?;
            let (noticed, most) = window(&mut good, server.id(), options.duration())?;
            row.add(noticed, most, bad.map(Helper::end).transpose()?);
        }
    }
    Ok(Measured {
        act,
        rows: rows.into(),
    })
}

fn crowd(server: SocketAddr, options: &Options, act: Act, mode: Mode) -> Crowd {
    Crowd {
        server,
        count: options.hostile,
        addresses: bad::ADDRESSES,
        line: act.line.to_owned(),
        manner: act.manner,
        mode,
    }
}

/// Measures the good connections for this time, and what the server has at most.
pub fn window(good: &mut Helper, server: u32, duration: Duration) -> Result<(Noticed, Most)> {
    good.tell(&duration.as_millis().to_string())?;
    let mut most = Most::default();
    most.watch(server, duration)?;
    Ok((good.hear()?, most))
}
