//! The processes that a supervisor starts by running this program with a hidden subcommand: a loader, which
//! compiles the component, and workers, which serve connections.

mod loader;
mod names;
mod privileges;
mod serving;

pub use loader::{Kind, Order, Work, compiled, run as run_loader};

use privileges::Privileges;

use crate::control::{Channel, FromWorker, Start, StartFiles, ToWorker};
use crate::log;
use crate::server::Plan;
use crate::sys::child::set_name;
use crate::sys::threads;
use anyhow::{anyhow, bail};
use evconn::{Opened, Quota};
use serde::de::DeserializeOwned;
use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// Parses the command line of a server.
pub type Parse = fn(&[OsString]) -> anyhow::Result<(Plan, log::Format)>;

/// Serves connections until the supervisor ends it.
pub fn run(parse: Parse) -> ExitCode {
    set_name(c"evconn-worker");
    let Some((mut channel, order)) = first_message() else {
        return no_command();
    };
    let outcome = match start(parse, &mut channel, order) {
        Ok(started) => serve(started, channel),
        // The supervisor may be gone, too.
        Err(error) => channel.send(&FromWorker::Failed(format!("{error:#}")), Vec::new()),
    };
    log::flush();
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(_) => ExitCode::FAILURE,
    }
}

/// Returns the control socket and its first message, if this process was started by a supervisor.
fn first_message<M: DeserializeOwned>() -> Option<(Channel, (M, Vec<OwnedFd>))> {
    let mut channel = Channel::of_standard_input().ok()?;
    let message = channel.receive().ok()??;
    Some((channel, message))
}

/// Tells a user that the subcommand is not for users.
fn no_command() -> ExitCode {
    eprintln!("evconn: this subcommand is not for users: `evconn serve` starts it");
    ExitCode::from(2)
}

fn serve(started: Started, channel: Channel) -> io::Result<()> {
    let runtime = threads::event_loop()?;
    let outcome = runtime.block_on(serving::serve(started, channel));
    // A blocking task may be reading a pipe that nobody writes to.
    runtime.shutdown_background();
    outcome
}

/// What a worker was started with.
struct Started {
    plan: Plan,
    privileges: Privileges,
    start: Start,
    quota: Quota,
    code: File,
    listener: File,
    binary: Option<File>,
    sockets: Vec<ForPort>,
}

/// A listening socket, and the port of a program's socket that its connections are for, if one was named.
type ForPort = (Option<u16>, Opened);

fn start(
    parse: Parse,
    channel: &mut Channel,
    order: (ToWorker, Vec<OwnedFd>),
) -> anyhow::Result<Started> {
    let (ToWorker::Start(start), files) = order else {
        bail!("the first message of the supervisor is not a start message");
    };
    let (plan, format) = parse(&start.arguments)?;
    // Before anything else, while the process has one thread.
    evconn::reserve_descriptors();
    let privileges = Privileges::of(&plan, start.tells_missing);
    let missing = privileges.confine_files()?;
    log::start_in_child(format, start.is_terminal, plan.name.clone());
    privileges.log(&missing);
    let sockets = sockets(channel, start.sockets)?;
    let mut files: Vec<Option<OwnedFd>> = files.into_iter().map(Some).collect();
    let mut take = |at: usize| files.get_mut(at).and_then(Option::take);
    let binary = take(StartFiles::BINARY).map(File::from);
    let mut required = |at| take(at).ok_or_else(|| anyhow!("a descriptor is missing"));
    Ok(Started {
        quota: Quota::open(required(StartFiles::MEMORY)?, required(StartFiles::BELL)?)?,
        code: required(StartFiles::CODE)?.into(),
        listener: required(StartFiles::LISTENER)?.into(),
        binary,
        sockets,
        plan,
        privileges,
        start: *start,
    })
}

/// Receives the listening sockets.
fn sockets(channel: &mut Channel, count: usize) -> anyhow::Result<Vec<ForPort>> {
    let mut sockets = Vec::new();
    while sockets.len() < count {
        let Some((ToWorker::Sockets(message), descriptors)) = channel.receive()? else {
            bail!("the supervisor sent no listening sockets");
        };
        for (descriptor, about) in descriptors.into_iter().zip(message.about) {
            let opened = Opened::from_fd(descriptor)?.shared(about.inherited);
            sockets.push((about.port, opened));
        }
    }
    Ok(sockets)
}
