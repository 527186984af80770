//! What the server has for one connection at most.

use super::act::Manner;
use super::bad::{Crowd, Deeds, Mode};
use super::server::Site;
use super::table::head;
use super::watch::Most;
use crate::report::{Grid, number};
use anyhow::Result;
use std::time::Duration;

/// What one connection keeps: as many as the default of `--max-handles` permits.
const HOARDS: [&str; 9] = [
    "sleep",
    "fill 63",
    "hoard timers 500",
    "hoard tcp 1000",
    "hoard udp 1000",
    "hoard files 1000",
    "hoard file-streams 1000",
    "hoard listings 1000",
    "hoard lookups 500",
];

/// How long a connection hoards before its server is looked at.
const DURATION: Duration = Duration::from_secs(1);

pub fn measure(site: &Site) -> Result<Vec<Grid>> {
    let rows: Result<_> = HOARDS.iter().map(|line| row(site, line)).collect();
    Ok(vec![Grid {
        title: "hoards: what the server has for one connection".to_owned(),
        head: head(&["act", "begun", "ended", "descriptors", "RSS MiB"]),
        rows: rows?,
    }])
}

fn row(site: &Site, line: &str) -> Result<Vec<String>> {
    let grants = site.grants();
    let grants: Vec<_> = grants.iter().map(String::as_str).collect();
    let server = site.start(&grants)?;
    let mut before = Most::default();
    before.watch(server.id(), DURATION)?;
    let crowd = Crowd {
        server: server.address(),
        count: 1,
        addresses: 1,
        line: line.to_owned(),
        manner: Manner::Reads,
        mode: Mode::Staying,
    };
    let bad = crowd.start()?;
    let mut most = Most::default();
    most.watch(server.id(), DURATION)?;
    let deeds: Deeds = bad.end()?;
    Ok(vec![
        line.to_owned(),
        deeds.begun.to_string(),
        deeds.ended.to_string(),
        most.descriptors
            .saturating_sub(before.descriptors)
            .to_string(),
        number(most.memory_mib - before.memory_mib),
    ])
}
