//! More connections than the machine has memory mappings for: those that do not fit wait in the accept queue,
//! and none is accepted and reset.

use super::act::Front;
use super::act::Manner;
use super::bad::{self, Crowd, Deeds, Mode};
use super::good;
use super::options::Options;
use super::server::Site;
use super::table::head;
use super::watch::Most;
use crate::report::{Grid, number};
use anyhow::Result;
use std::time::Instant;

/// So many processes of clients, with so many connections each: a process has a limit of descriptors.
const PROCESSES: usize = 3;
const CONNECTIONS: u32 = 9_000;

pub fn measure(site: &Site, options: &Options) -> Result<Vec<Grid>> {
    let server = site.start(&["--max-connections", "1000000", "--idle-timeout", "none"])?;
    let crowd = Crowd {
        server: server.address(),
        count: CONNECTIONS,
        addresses: bad::ADDRESSES,
        // Its guest notices the end of the peer.
        line: "echo".to_owned(),
        manner: Manner::Reads,
        mode: Mode::Staying,
    };
    let crowds: Result<Vec<_>> = (0..PROCESSES).map(|_| crowd.start()).collect();
    let mut most = Most::default();
    most.watch(server.id(), options.duration())?;
    let mut all = Deeds::default();
    for crowd in crowds? {
        let deeds: Deeds = crowd.end()?;
        all.opened += deeds.opened;
        all.begun += deeds.begun;
        all.ended += deeds.ended;
    }
    let begin = Instant::now();
    good::start(server.address(), Front::Nothing)?;
    let row = vec![
        all.opened.to_string(),
        all.begun.to_string(),
        all.ended.to_string(),
        most.descriptors.to_string(),
        number(most.memory_mib),
        number(begin.elapsed().as_secs_f64() * 1e3),
    ];
    Ok(vec![Grid {
        title: "instances: more connections than there is room for".to_owned(),
        head: head(&[
            "opened",
            "served",
            "reset",
            "descriptors",
            "RSS MiB",
            "100 good ones after that, ms",
        ]),
        rows: vec![row],
    }])
}
