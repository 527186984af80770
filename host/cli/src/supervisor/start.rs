//! From the flags to workers that accept connections.

use super::Generation;
use super::life::{Beacon, Beginning, Life};
use super::source::Source;
use super::tickets::{KeptTickets, Tickets};
use super::workers::{Common, Happened, Numbers, Workers};
use crate::args::{NamedListening, NamedSource};
use crate::control::AboutSocket;
use crate::loading::Compiled;
use crate::server::{Plan, ServeError, capacity};
use crate::sys::Importance;
use crate::sys::signals::StopSignals;
use crate::sys::threads;
use crate::traces::Exporter;
use anyhow::{Context, anyhow};
use evconn::{Limits, Opened, Quota};
use std::io;
use std::num::NonZero;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::sync::Arc;

/// How many workers there may be for each process that serves: those of before a reload go on until their
/// connections have ended. Each worker looks at all of them when it accepts.
const GENERATIONS: u16 = 16;

/// The place that a server takes among those of its supervisor.
pub struct Place {
    /// What it keeps of the server whose place it takes.
    pub kept: Kept,
    /// The number of its first process, as metrics have it.
    pub first_process: u16,
    /// The numbers of workers.
    pub numbers: Numbers,
    pub beacon: Beacon,
}

/// What a server keeps of the one whose place it takes.
#[derive(Default)]
pub struct Kept {
    /// The listeners of sources that both have.
    pub listeners: Vec<Lent>,
    pub tickets: Option<KeptTickets>,
}

/// A listener of another server, which keeps its sockets, too.
pub struct Lent {
    pub source: NamedSource,
    /// Where it listens.
    pub name: String,
    /// The file of its Unix socket, if that is removed at the end.
    pub file: Option<PathBuf>,
    pub sockets: Vec<(OwnedFd, AboutSocket)>,
}

/// Reads the input, compiles, listens and starts the workers. Returns `None` if a signal arrives meanwhile.
pub async fn start(
    plan: Plan,
    place: Place,
    stops: &StopSignals,
) -> Result<Option<Life>, ServeError> {
    let plan = Arc::new(plan);
    let preparing = prepare_and_compile(Arc::clone(&plan));
    let Some(prepared) = stops.unless_stopped(preparing).await else {
        return Ok(None);
    };
    let (source, compiled) = prepared.map_err(|error| ServeError::Prepare(plan.blame(error)))?;
    let Place {
        kept,
        first_process,
        numbers,
        beacon,
    } = place;
    let sources = kept.listeners.iter().map(|lent| lent.source.clone());
    let listening = listen(&plan, sources.collect());
    let Some(listening) = stops.unless_stopped_for_long(listening).await else {
        return Ok(None);
    };
    let listening = listening?;
    let (exporter, exporting) = plan.traces().map_err(ServeError::Prepare)?.unzip();
    let workers = workers(&plan, numbers, kept, &listening, &compiled, exporter);
    let workers = workers.map_err(|error| ServeError::Prepare(plan.blame(error)))?;
    let generation = Generation::new(Arc::new(compiled), source.certificate());
    let life = Life::new(Beginning {
        plan: Arc::clone(&plan),
        source,
        listening,
        workers,
        generation,
        processes: processes(&plan).get().into(),
        first_process,
        beacon,
        exporting,
    });
    let Some(started) = stops.unless_stopped(all_ready(life)).await else {
        return Ok(None);
    };
    let started = started.map_err(|error| ServeError::Prepare(plan.blame(error)))?;
    Ok(Some(started))
}

fn processes(plan: &Plan) -> NonZero<u16> {
    plan.server.processes().unwrap_or(NonZero::<u16>::MIN)
}

/// Returns how many workers a server may have at a time.
pub fn members(plan: &Plan) -> u16 {
    processes(plan).get().saturating_mul(GENERATIONS)
}

/// Reads the input and has it compiled: bad input is found here, before anything is bound.
pub async fn prepare_and_compile(plan: Arc<Plan>) -> anyhow::Result<(Source, Compiled)> {
    let source = prepare(&plan).await?;
    let compiled = source.compile(&plan, Importance::Normal).await?;
    Ok((source, compiled))
}

/// Reads the files that the flags name.
async fn prepare(plan: &Arc<Plan>) -> anyhow::Result<Source> {
    capacity::raise_descriptor_limit();
    let plan = Arc::clone(plan);
    // On another thread, so that signals are handled meanwhile.
    let prepared = threads::run(move || -> anyhow::Result<Source> {
        // The workers open the directories again.
        plan.server.grants()?;
        Source::open(&plan)
    });
    prepared.await?
}

/// How many connections are allowed.
#[derive(Clone, Copy)]
struct Shares {
    /// The limits of the server.
    limits: Limits,
    /// Maximum number of connections of a worker.
    each: usize,
}

/// A worker may have its [`Plan::share`] of the connections, but no more than one process supports.
fn shares(plan: &Plan, processes: NonZero<u16>, compiled: &Compiled) -> Shares {
    let processes = usize::from(processes.get());
    let limits = match compiled.target.gives_up_instances {
        true => plan.server.limits(),
        false => plan.server.with_instances(plan.server.limits()),
    };
    let limits = plan.fit(limits, compiled.memories);
    let one = |max_connections| Limits {
        max_connections,
        ..limits
    };
    let wanted = Plan::share(limits.max_connections, processes);
    let possible = plan.possible_of_one(one(wanted), compiled.memories);
    let each = wanted.min(possible);
    let limits = capacity::fit_pools(limits, each * processes, compiled.memories);
    Shares { limits, each }
}

async fn listen(
    plan: &Arc<Plan>,
    kept: Vec<NamedSource>,
) -> Result<Vec<NamedListening>, ServeError> {
    let plan = Arc::clone(plan);
    // It may look up names, and wait for another process that creates the same Unix socket.
    let listening = threads::run(move || plan.listen.listen(plan.server.backlog(), &kept));
    match listening.await {
        Ok(listening) => listening.map_err(ServeError::Listen),
        Err(error) => Err(ServeError::Prepare(error.into())),
    }
}

fn workers(
    plan: &Plan,
    numbers: Numbers,
    kept: Kept,
    listening: &[NamedListening],
    compiled: &Compiled,
    traces: Option<Exporter>,
) -> anyhow::Result<Workers> {
    let processes = processes(plan);
    let members = members(plan);
    let shares = shares(plan, processes, compiled);
    let quota = Quota::create(&shares.limits, plan.server.accept_rate(), members)
        .context("cannot create the memory that workers share")?;
    let own = lend(listening).context("cannot pass the listening sockets on to workers")?;
    let workers = Workers::new(Common {
        arguments: plan.arguments.clone(),
        quota,
        members,
        numbers,
        listeners: kept.listeners.into_iter().chain(own).collect(),
        capacity: shares.each,
        parts: processes.get().into(),
        tickets: Tickets::new(plan, kept.tickets)?,
        traces,
    });
    workers.context("cannot watch workers")
}

/// Returns the sockets of listeners, for workers.
pub fn lend(listening: &[NamedListening]) -> io::Result<Vec<Lent>> {
    let lend = |named: &NamedListening| {
        Ok(Lent {
            source: named.source.clone(),
            name: named.listening.name.clone(),
            file: named.listening.sockets.iter().find_map(file_of),
            sockets: sockets_of(named).collect::<io::Result<_>>()?,
        })
    };
    listening.iter().map(lend).collect()
}

/// Returns the path of a Unix socket whose file is removed at the end.
fn file_of(opened: &Opened) -> Option<PathBuf> {
    match opened {
        Opened::Unix { file, .. } => file.as_ref().map(|file| file.path().to_owned()),
        _ => None,
    }
}

/// Returns the sockets of a listener, with what workers are to know of them.
fn sockets_of(named: &NamedListening) -> impl Iterator<Item = io::Result<(OwnedFd, AboutSocket)>> {
    named.listening.sockets.iter().filter_map(|opened| {
        let about = AboutSocket {
            inherited: opened.is_shared(),
            port: named.source.port,
        };
        let socket = opened.socket()?.try_clone_to_owned();
        Some(socket.map(|socket| (socket, about)))
    })
}

/// Starts the workers, and waits until all of them accept connections.
async fn all_ready(mut life: Life) -> anyhow::Result<Life> {
    life.start_missing().context("cannot start a worker")?;
    while !life.has_all() {
        match life.workers.next().await {
            Happened::Ready | Happened::Stopped => {}
            Happened::Ended(ended) => return Err(anyhow!("a worker {}", ended.how)),
        }
    }
    life.report_readiness();
    Ok(life)
}
