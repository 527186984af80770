//! What one client makes the server log.

use super::act::Manner;
use super::bad::{Crowd, Deeds, Mode};
use super::options::Options;
use super::server::Site;
use super::table::head;
use crate::report::{Grid, number};
use anyhow::{Context, Result};
use std::fs;

/// What its connections do, and how many there are at a time.
const FLOODS: [(&str, u32, Mode); 5] = [
    ("calls print", 1, Mode::Staying),
    ("calls print-long", 1, Mode::Staying),
    ("calls print-long", 10, Mode::Returning),
    ("trap 0", 10, Mode::Staying),
    ("fail 100000", 10, Mode::Staying),
];

pub fn measure(site: &Site, options: &Options) -> Result<Vec<Grid>> {
    let row = |&(line, count, mode): &_| row(site, options, line, count, mode);
    let rows: Result<_> = FLOODS.iter().map(row).collect();
    Ok(vec![Grid {
        title: "log: standard error of the server, by one client".to_owned(),
        head: head(&[
            "act",
            "connections",
            "hostile",
            "acts/s",
            "lines/s",
            "bytes/s",
        ]),
        rows: rows?,
    }])
}

fn row(site: &Site, options: &Options, line: &str, count: u32, mode: Mode) -> Result<Vec<String>> {
    let server = site.start(&[])?;
    let crowd = Crowd {
        server: server.address(),
        count,
        addresses: 1,
        line: line.to_owned(),
        manner: Manner::Reads,
        mode,
    };
    let bad = crowd.start()?;
    std::thread::sleep(options.duration());
    let deeds: Deeds = bad.end()?;
    // The seconds until the acts have begun count, too.
    let seconds = server.started().elapsed().as_secs_f64();
    let log = fs::read(site.log()).context("the log")?;
    let lines = log.iter().filter(|&&byte| byte == b'\n').count();
    Ok(vec![
        line.to_owned(),
        count.to_string(),
        mode.name().to_owned(),
        number(deeds.begun as f64 / seconds),
        number(lines as f64 / seconds),
        number(log.len() as f64 / seconds),
    ])
}
