//! A load of TLS handshakes beside good TLS connections, on evconn and on a native server.

use super::act::Front;
use super::bad;
use super::beside::window;
use super::good;
use super::options::Options;
use super::server::Site;
use super::table::{head, or_none};
use super::tls::{Handshakes, Shaken};
use super::watch::Most;
use super::window::Noticed;
use crate::process::Process;
use crate::report::{Grid, number};
use crate::sample::Latency;
use anyhow::{Context, Result};
use std::net::Ipv4Addr;

/// How many handshakes a second are hostile.
const LOAD: u32 = 1_000;

/// Who comes from elsewhere, and how often.
const NEWCOMER: Ipv4Addr = Ipv4Addr::new(127, 0, 1, 1);
const NEWCOMERS: u32 = 20;

struct Row {
    server: &'static str,
    hostile: &'static str,
    noticed: Noticed,
    newcomers: Shaken,
    load: Option<Shaken>,
    most: Most,
}

pub fn measure(site: &Site, options: &Options) -> Result<Vec<Grid>> {
    let mut rows = on("evconn", &site.start_behind(Front::Tls)?, options)?;
    rows.extend(on("native", &site.start_native()?, options)?);
    Ok(vec![table(&rows), ratios(&rows)])
}

fn on(name: &'static str, server: &Process, options: &Options) -> Result<Vec<Row>> {
    let mut good = good::start(server.address(), Front::Tls).context("good connections")?;
    let mut rows = Vec::new();
    for hostile in ["alone", "beside"] {
        let load = match hostile {
            "beside" => Some(load(server).start()?),
            _ => None,
        };
        let newcomers = newcomers(server).start()?;
        let (noticed, most) = window(&mut good, server.id(), options.duration())?;
        rows.push(Row {
            server: name,
            hostile,
            noticed,
            newcomers: newcomers.end()?,
            load: load.map(|load| load.end()).transpose()?,
            most,
        });
    }
    Ok(rows)
}

fn load(server: &Process) -> Handshakes {
    Handshakes {
        server: server.address(),
        source: bad::FIRST,
        addresses: bad::ADDRESSES,
        per_second: LOAD,
        are_served: false,
    }
}

fn newcomers(server: &Process) -> Handshakes {
    Handshakes {
        server: server.address(),
        source: NEWCOMER,
        addresses: 1,
        per_second: NEWCOMERS,
        are_served: true,
    }
}

fn table(rows: &[Row]) -> Grid {
    let row = |row: &Row| {
        let of = |part: fn(Latency) -> f64| or_none(row.noticed.latency.map(part));
        let new = |part: fn(Latency) -> f64| or_none(row.newcomers.latency.map(part));
        let rate = |shaken: &Shaken| (shaken.started - shaken.failed) as f64 / shaken.seconds;
        vec![
            row.server.to_owned(),
            row.hostile.to_owned(),
            of(|it| it.p50),
            of(|it| it.p99),
            of(|it| it.p999),
            number(row.noticed.longest),
            row.noticed.errors().to_string(),
            new(|it| it.p50),
            new(|it| it.p99),
            row.newcomers.failed.to_string(),
            or_none(row.load.as_ref().map(rate)),
            row.most.descriptors.to_string(),
            number(row.most.memory_mib),
        ]
    };
    Grid {
        title: "handshakes: 1,000 TLS handshakes a second".to_owned(),
        head: head(&[
            "server",
            "hostile",
            "p50 µs",
            "p99 µs",
            "p99.9 µs",
            "max µs",
            "errors",
            "new p50 µs",
            "new p99 µs",
            "new failed",
            "handshakes/s",
            "descriptors",
            "RSS MiB",
        ]),
        rows: rows.iter().map(row).collect(),
    }
}

/// Compares the two servers.
fn ratios(rows: &[Row]) -> Grid {
    let p99 = |row: &Row| row.noticed.latency.map(|it| it.p99);
    let new = |row: &Row| row.newcomers.latency.map(|it| it.p99);
    let ratio = |hostile: &str, of: &dyn Fn(&Row) -> Option<f64>| {
        let find = |server| {
            let mut rows = rows.iter();
            of(rows.find(|row| row.server == server && row.hostile == hostile)?)
        };
        or_none(find("evconn").zip(find("native")).map(|(a, b)| a / b))
    };
    let line = |hostile: &str| {
        vec![
            hostile.to_owned(),
            ratio(hostile, &p99),
            ratio(hostile, &new),
        ]
    };
    Grid {
        title: "handshakes: evconn in relation to the native server".to_owned(),
        head: head(&["hostile", "p99", "new p99"]),
        rows: vec![line("alone"), line("beside")],
    }
}
