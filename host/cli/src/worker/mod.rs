//! The processes that a supervisor starts, which run this program with a hidden subcommand: a loader, which
//! compiles the component, and workers, which serve connections.

mod loader;
mod names;
mod serving;

pub use loader::run as run_loader;

use crate::control::{Channel, Start, StartFiles, ToWorker};
use crate::log;
use crate::server::Plan;
use anyhow::{Context, anyhow, bail};
use evconn::{Opened, Quota};
use std::collections::VecDeque;
use std::ffi::OsString;
use std::fs::File;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use tokio::runtime::Builder;

/// Returns what a command line of a server says.
pub type Parse = fn(&[OsString]) -> anyhow::Result<(Plan, log::Format)>;

/// Serves connections until the supervisor says otherwise.
pub fn run(parse: Parse) -> ExitCode {
    let outcome = start(parse).and_then(|(start, channel)| {
        let runtime = Builder::new_current_thread().enable_all().build();
        let runtime = runtime.context("cannot start the event loop")?;
        let outcome = runtime.block_on(serving::serve(start, channel));
        // A blocking task may be reading a pipe that nobody writes to.
        runtime.shutdown_background();
        outcome
    });
    log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("evconn: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// What a worker was started with.
struct Started {
    plan: Plan,
    start: Start,
    quota: Quota,
    code: File,
    listener: File,
    binary: Option<File>,
    sockets: Vec<Opened>,
}

fn start(parse: Parse) -> anyhow::Result<(Started, Channel)> {
    let mut channel = Channel::of_standard_input()?;
    let Some((ToWorker::Start(start), files)) = received(&mut channel)? else {
        bail!("this subcommand is for evconn itself: use `evconn serve`");
    };
    let (plan, format) = parse(&start.arguments)?;
    log::start_in_child(format, start.is_terminal);
    let sockets = sockets(&mut channel, start.sockets)?;
    let mut files: Vec<Option<OwnedFd>> = files.into_iter().map(Some).collect();
    let mut take = |at: usize| files.get_mut(at).and_then(Option::take);
    let binary = take(StartFiles::BINARY).map(File::from);
    let mut required = |at| take(at).ok_or_else(|| anyhow!("a descriptor is missing"));
    let started = Started {
        quota: Quota::open(required(StartFiles::MEMORY)?, required(StartFiles::BELL)?)?,
        code: required(StartFiles::CODE)?.into(),
        listener: required(StartFiles::LISTENER)?.into(),
        binary,
        sockets,
        plan,
        start: *start,
    };
    Ok((started, channel))
}

/// Receives the listening sockets.
fn sockets(channel: &mut Channel, count: usize) -> anyhow::Result<Vec<Opened>> {
    let mut sockets = Vec::new();
    while sockets.len() < count {
        let Some((ToWorker::Sockets(message), descriptors)) = received(channel)? else {
            bail!("the supervisor sent no listening sockets");
        };
        for (descriptor, inherited) in descriptors.into_iter().zip(message.inherited) {
            sockets.push(Opened::from_fd(descriptor)?.shared(inherited));
        }
    }
    Ok(sockets)
}

fn received(channel: &mut Channel) -> anyhow::Result<Option<(ToWorker, VecDeque<OwnedFd>)>> {
    let received = channel.receive().context("cannot read from the supervisor")?;
    Ok(received.map(|(message, files)| (message, files.into())))
}
