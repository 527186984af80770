//! Has a component loaded in a process of its own, the loader, with limits of time and memory: a hostile component
//! may exceed any, or crash the compiler, which is large code. Whoever starts the loader goes on in any case.

mod compiled;

pub use compiled::{Compiled, mapped_host, mapped_service};

use crate::args::CompileArgs;
use crate::control::process::{self, Process};
use crate::control::{FromLoader, Load};
use crate::files::{Input, read_for_others};
use crate::log;
use crate::sys::Importance;
use crate::sys::allocator::OUT_OF_MEMORY;
use crate::sys::child::{Child, describe};
use crate::sys::{memory, threads};
use anyhow::{Context, bail};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;

/// What a loader has made of a component, and the descriptors of it.
pub type Outcome = (FromLoader, Vec<OwnedFd>);

/// What has to be loaded.
pub struct Request<'a> {
    /// The command line that says what is to be done.
    pub arguments: Vec<OsString>,
    /// Its inputs.
    pub inputs: &'a [Input],
    pub limits: &'a CompileArgs,
    /// Maximum number of instances at a time of a process that serves.
    pub instances: usize,
    pub importance: Importance,
}

impl<'a> Request<'a> {
    /// Asks for what a command needs that has one instance, or none.
    pub fn of_command(inputs: &'a [Input], limits: &'a CompileArgs) -> Self {
        Self {
            arguments: std::env::args_os().collect(),
            inputs,
            limits,
            instances: 1,
            importance: Importance::Normal,
        }
    }
}

/// Has a loader do what a command line says.
///
/// # Errors
/// The reason why the component cannot be used, in one line.
pub async fn load(request: Request<'_>) -> anyhow::Result<Outcome> {
    let Request { inputs, limits, .. } = request;
    let mut given = Vec::new();
    let mut files = Vec::new();
    for input in inputs {
        let file = for_loader(input).await?;
        given.push(file.is_some());
        files.extend(file);
    }
    let (process, mut messages) =
        process::start::<Load, FromLoader>("loader", request.importance, &ENVIRONMENT)
            .context("cannot start a loader")?;
    let load = Load {
        arguments: request.arguments,
        is_terminal: log::is_terminal(),
        given,
        instances: request.instances,
        memory: limits.memory(),
    };
    let outcome = match process.control.send(&load, files) {
        Ok(()) => tokio::time::timeout(limits.timeout(), messages.receive()).await,
        Err(_) => Ok(Ok(None)),
    };
    let Process { child, log, .. } = process;
    let Ok(outcome) = outcome else {
        bail!(
            "compiling the component takes longer than {:?}: raise the limit with --compile-timeout",
            limits.timeout()
        );
    };
    // The loader's log precedes what this process reports about the outcome.
    let _ = tokio::time::timeout(LOG_TIMEOUT, log).await;
    match outcome {
        Ok(Some((FromLoader::Failed(why), _))) => bail!(why),
        Ok(Some(outcome)) => Ok(outcome),
        Ok(None) | Err(_) => bail!("{}", died(child, limits).await),
    }
}

/// mimalloc, with that feature, reserves writable memory in steps of this size. Its default is 1 GiB, all of which would
/// count against the limit of memory, or not at all.
const ENVIRONMENT: [(&str, &str); 1] = [("MIMALLOC_ARENA_RESERVE", "16MiB")];

/// How long to wait for the end of the log of a loader that has sent its outcome.
const LOG_TIMEOUT: Duration = Duration::from_millis(500);

/// Reads an input here if the loader cannot.
async fn for_loader(input: &Input) -> anyhow::Result<Option<OwnedFd>> {
    let input = input.clone();
    let read = threads::run(move || {
        let file = match &input {
            Input::File(path) => {
                read_for_others(path)?.map(|bytes| memory::file("component", &bytes))
            }
            Input::Stdin(bytes) | Input::Read(_, bytes) => Some(memory::file("component", bytes)),
        };
        Ok(file.transpose()?.map(OwnedFd::from))
    });
    read.await?
}

async fn died(child: Child, limits: &CompileArgs) -> String {
    let status = threads::run(move || child.wait()).await;
    let how = match status.flatten() {
        Ok(status) => explain(status, limits),
        Err(error) => format!("is gone: {error}"),
    };
    format!("the process that compiles the component {how}")
}

fn explain(status: ExitStatus, limits: &CompileArgs) -> String {
    let most = limits.memory() >> 20;
    let how = describe(status);
    match status.code() {
        Some(OUT_OF_MEMORY) => format!(
            "requires more than {most} MiB of memory: raise the limit with --compile-memory"
        ),
        // The kernel kills processes when memory is short, and not every allocation has a caller that can say so.
        _ => format!(
            "{how}: it may require more than {most} MiB of memory, a limit that --compile-memory raises"
        ),
    }
}
