//! Tables of what follows from several works, or from several servers.

use super::grid::Grid;
use super::number::{median, spread};
use super::row::{Block, Row};
use crate::peers::Peer;
use crate::sample::{Sample, Spread};
use crate::work::{Work, thousands};

/// Returns the tables for which there are figures.
pub fn all(blocks: &[Block<'_>]) -> impl Iterator<Item = Grid> {
    let tables = [
        growth(blocks),
        processes(blocks),
        instances(blocks),
        workers(blocks),
    ];
    tables.into_iter().flatten()
}

/// Returns a table with the ratios of evconn to evconn-threads: several processes and one.
fn processes(blocks: &[Block<'_>]) -> Option<Grid> {
    let rows: Vec<_> = blocks.iter().filter_map(compared).collect();
    let head = ["work", "rate", "time", "p99", "server CPU", "memory"];
    (!rows.is_empty()).then(|| Grid {
        title: "processes: the ratios of evconn to evconn-threads".to_owned(),
        head: head.map(str::to_owned).to_vec(),
        rows,
    })
}

/// Returns the row of a work under which both were measured.
fn compared(block: &Block<'_>) -> Option<Vec<String>> {
    let several = block.row(Peer::Evconn)?;
    let one = block.row(Peer::EvconnThreads)?;
    let ratio = |of: fn(&Sample) -> Option<f64>| spread(ratio_between(several, one, of));
    ratio_between(several, one, |it| Some(it.value))?;
    let value = ratio(|it| Some(it.value));
    let none = spread(None);
    let (rate, time) = match block.work.is_timed() {
        true => (none, value),
        false => (value, none),
    };
    Some(vec![
        block.work.name(),
        rate,
        time,
        ratio(|it| Some(it.latency?.p99)),
        ratio(|it| Some(it.cpu?.server)),
        ratio(|it| Some(it.memory?.total_kib())),
    ])
}

/// Ways to run instances that are compared, each with what it is relative to: a program with handlers whose bytes are
/// spliced or copied, handlers of WASI 0.3 with those of 0.2, instances that are made ahead, and several that are shared with one.
const COMPARED: [(Peer, Peer); 6] = [
    (Peer::EvconnProgram, Peer::Evconn),
    (Peer::EvconnProgram, Peer::EvconnCopy),
    (Peer::EvconnAsync, Peer::EvconnCopy),
    (Peer::EvconnAsyncBack, Peer::Evconn),
    (Peer::EvconnWarm, Peer::Evconn),
    (Peer::EvconnShared, Peer::EvconnSharedOne),
];

/// Returns a table with their ratios under each work.
fn instances(blocks: &[Block<'_>]) -> Option<Grid> {
    let row = |block: &Block<'_>| {
        let ratios = COMPARED.map(|(this, other)| {
            let (this, other) = (block.row(this)?, block.row(other)?);
            ratio_between(this, other, |it| Some(it.value))
        });
        let is_some = ratios.iter().any(Option::is_some);
        is_some.then(|| [vec![block.work.name()], ratios.map(spread).to_vec()].concat())
    };
    let rows: Vec<_> = blocks.iter().filter_map(row).collect();
    let ratio = |(this, other): (Peer, Peer)| format!("{} to {}", this.name(), other.name());
    let head = [vec!["work".to_owned()], COMPARED.map(ratio).to_vec()].concat();
    (!rows.is_empty()).then(|| Grid {
        title: "instances: the ratios of ways to run them".to_owned(),
        head,
        rows,
    })
}

/// Returns a table with the memory of a server by the number of its workers.
fn workers(blocks: &[Block<'_>]) -> Option<Grid> {
    let of = |block: &Block<'_>| match block.work {
        Work::ProcessesMemory { processes } => {
            Some((processes, block.row(Peer::Evconn)?.samples.to_vec()))
        }
        _ => None,
    };
    let measured: Vec<_> = blocks.iter().filter_map(of).collect();
    let [(few, with_few), (many, with_many)] = &measured[..] else {
        return None;
    };
    let neighbours = with_few.iter().zip(with_many);
    let more = f64::from(many - few);
    let each = neighbours.map(|(few, many)| (many.value - few.value) / more);
    let value = |samples: &[Sample]| spread(Spread::of(samples.iter().map(|it| it.value)));
    Some(Grid {
        title: "workers: memory of a server, in MiB".to_owned(),
        head: vec![
            "server".to_owned(),
            format!("{few} worker"),
            format!("{many} workers"),
            "each additional worker".to_owned(),
        ],
        rows: vec![vec![
            Peer::Evconn.name().to_owned(),
            value(with_few),
            value(with_many),
            spread(Spread::of(each)),
        ]],
    })
}

/// Returns a table with the cost of a connection by the number of open connections: the time that a
/// connection takes with many open ones, relative to few.
fn growth(blocks: &[Block<'_>]) -> Option<Grid> {
    let open: Vec<(u32, &Block<'_>)> = blocks
        .iter()
        .filter_map(|block| match block.work {
            Work::Open { idle } => Some((idle, block)),
            _ => None,
        })
        .collect();
    let [(fewest, first), more @ ..] = &open[..] else {
        return None;
    };
    if more.is_empty() {
        return None;
    }
    let count = |idle: &u32| thousands(*idle);
    let mut head = vec!["server".to_owned()];
    head.extend(
        open.iter()
            .map(|(idle, _)| format!("k/s, {} open", count(idle))),
    );
    head.extend(
        more.iter()
            .map(|(idle, _)| format!("cost, {} to {}", count(idle), count(fewest))),
    );
    head.extend(
        open.iter()
            .map(|(idle, _)| format!("KiB each, {}", count(idle))),
    );
    let row = |peer: Peer| {
        let of = |block: &Block<'_>| block.row(peer).and_then(|row| row.value);
        let memory = |block: &Block<'_>| block.row(peer).and_then(|row| row.memory);
        let mut cells = vec![peer.name().to_owned()];
        cells.extend(
            open.iter()
                .map(|(_, block)| median(of(block).map(|it| it.scaled(1e-3)))),
        );
        cells.extend(
            more.iter()
                .map(|(_, block)| spread(cost(first, block, peer))),
        );
        cells.extend(open.iter().map(|(_, block)| median(memory(block))));
        cells
    };
    Some(Grid {
        title: "growth: the same, by the number of connections that are open".to_owned(),
        head,
        rows: first.rows.iter().map(|it| row(it.peer)).collect(),
    })
}

/// Returns the ratio between two servers that were measured one after the other, in each turn.
fn ratio_between(
    this: &Row<'_>,
    other: &Row<'_>,
    of: fn(&Sample) -> Option<f64>,
) -> Option<Spread> {
    let neighbours = this.samples.iter().zip(other.samples);
    Spread::of(neighbours.filter_map(|(this, other)| Some(of(this)? / of(other)?)))
}

/// Returns the ratio of the times that a connection takes, for each round.
fn cost(few: &Block<'_>, many: &Block<'_>, peer: Peer) -> Option<Spread> {
    let (few, many) = (few.row(peer)?, many.row(peer)?);
    let neighbours = few.samples.iter().zip(many.samples);
    Spread::of(neighbours.map(|(few, many)| few.value / many.value))
}
