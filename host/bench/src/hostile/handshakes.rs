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
use crate::sample::{Latency, Spread};
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
    /// What was noticed in each round, and what became of the newcomers.
    rounds: Vec<Noticed>,
    newcomers: Vec<Shaken>,
    load: Vec<Shaken>,
    most: Most,
}

impl Row {
    fn new(server: &'static str, hostile: &'static str) -> Self {
        Self {
            server,
            hostile,
            rounds: Vec::new(),
            newcomers: Vec::new(),
            load: Vec::new(),
            most: Most::default(),
        }
    }
}

pub fn measure(site: &Site, options: &Options) -> Result<Vec<Grid>> {
    let mut rows = Vec::from(on("evconn", &site.start_behind(Front::Tls)?, options)?);
    rows.extend(on("native", &site.start_native()?, options)?);
    Ok(vec![table(&rows), ratios(&rows)])
}

/// Measures without the load and with it, in turn.
fn on(name: &'static str, server: &Process, options: &Options) -> Result<[Row; 2]> {
    let mut good = good::start(server.address(), Front::Tls).context("good connections")?;
    let mut rows = ["alone", "beside"].map(|hostile| Row::new(name, hostile));
    for _ in 0..options.rounds {
        for row in &mut rows {
            let load = match row.hostile {
                "beside" => Some(load(server).start()?),
                _ => None,
            };
            let newcomers = newcomers(server).start()?;
            let (noticed, most) = window(&mut good, server.id(), options.duration())?;
            row.rounds.push(noticed);
            row.most = row.most.of_both(most);
            row.newcomers.push(newcomers.end()?);
            row.load.extend(load.map(|load| load.end()).transpose()?);
        }
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
        let noticed = Noticed::of_rounds(&row.rounds);
        let newcomers = new_latency(row);
        let of = |part: fn(Latency) -> f64| or_none(noticed.latency.map(part));
        let new = |part: fn(Latency) -> f64| or_none(newcomers.map(part));
        let rate = |shaken: &Shaken| (shaken.started - shaken.failed) as f64 / shaken.seconds;
        let rates = Spread::of(row.load.iter().map(rate));
        vec![
            row.server.to_owned(),
            row.hostile.to_owned(),
            of(|it| it.p50),
            of(|it| it.p99),
            of(|it| it.p999),
            number(noticed.longest),
            noticed.errors().to_string(),
            new(|it| it.p50),
            new(|it| it.p99),
            row.newcomers
                .iter()
                .map(|it| it.failed)
                .sum::<u64>()
                .to_string(),
            or_none(rates.map(|rates| rates.median)),
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

fn new_latency(row: &Row) -> Option<Latency> {
    Latency::median(row.newcomers.iter().filter_map(|it| it.latency))
}

/// Compares the two servers.
fn ratios(rows: &[Row]) -> Grid {
    let p99 = |row: &Row| Noticed::of_rounds(&row.rounds).latency.map(|it| it.p99);
    let new = |row: &Row| new_latency(row).map(|it| it.p99);
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
