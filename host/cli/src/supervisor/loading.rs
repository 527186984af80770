//! Has a component compiled in a process of its own, with limits of time and memory: a hostile component may
//! exceed any, and the compiler is large code.

use super::process::{self, Process};
use crate::args::ProcessArgs;
use crate::control::{FromLoader, Load, Loaded, Receiver};
use crate::server::Plan;
use crate::sys::child::{Bounds, describe};
use crate::sys::memory;
use anyhow::{Context, bail};
use std::os::fd::OwnedFd;
use std::process::ExitStatus;
use std::time::Duration;

/// A compiled component, for any number of workers.
#[derive(Debug)]
pub struct Compiled {
    pub code: OwnedFd,
    pub listener: OwnedFd,
    /// The component's binary, for the source lines of traps.
    pub binary: Option<OwnedFd>,
    /// How many memories an instance has.
    pub memories: usize,
}

/// Compiles the plan's component in a loader. `stdin` is the component, if it was read from standard input.
///
/// # Errors
/// The reason why it cannot be served, in one line.
pub async fn load(plan: &Plan, stdin: Option<&[u8]>) -> anyhow::Result<Compiled> {
    let limits = &plan.server.processes;
    let bounds = Bounds {
        memory: Some(limits.compile_memory()),
    };
    let (process, mut messages) =
        process::start::<Load, FromLoader>("loader", bounds).context("cannot start a loader")?;
    let stdin = stdin
        .map(|bytes| memory::file("component", bytes))
        .transpose()?;
    let load = Load {
        arguments: std::env::args_os().collect(),
        is_terminal: super::is_terminal(),
    };
    let sent = process
        .control
        .send(&load, stdin.map(OwnedFd::from).into_iter().collect());
    let outcome = match sent {
        Ok(()) => tokio::time::timeout(limits.compile_timeout(), outcome(&mut messages)).await,
        Err(_) => Ok(None),
    };
    match outcome {
        Ok(Some(outcome)) => {
            // The loader's log precedes what this process logs about the outcome.
            let _ = tokio::time::timeout(LOG_TIMEOUT, process.log).await;
            outcome
        }
        Ok(None) => bail!("{}", died(process, limits).await),
        Err(_) => bail!(
            "compiling the component takes longer than {:?}: raise the limit with --compile-timeout",
            limits.compile_timeout()
        ),
    }
}

/// How long to wait for the end of the log of a loader that has sent its outcome.
const LOG_TIMEOUT: Duration = Duration::from_millis(500);

/// Returns the outcome, or `None` if the loader died.
async fn outcome(messages: &mut Receiver<FromLoader>) -> Option<anyhow::Result<Compiled>> {
    match messages.receive().await {
        Ok(Some((FromLoader::Failed(why), _))) => Some(Err(anyhow::anyhow!(why))),
        Ok(Some((FromLoader::Loaded(loaded), files))) => compiled(loaded, files).map(Ok),
        Ok(None) | Err(_) => None,
    }
}

fn compiled(loaded: Loaded, files: Vec<OwnedFd>) -> Option<Compiled> {
    let mut files = files.into_iter();
    Some(Compiled {
        code: files.next()?,
        listener: files.next()?,
        binary: files.next().filter(|_| loaded.has_binary),
        memories: loaded.memories,
    })
}

async fn died(process: Process<Load>, limits: &ProcessArgs) -> String {
    let status = tokio::task::spawn_blocking(move || process.child.wait()).await;
    let how = match status.map_err(std::io::Error::from).flatten() {
        Ok(status) => explain(status, limits),
        Err(error) => format!("is gone: {error}"),
    };
    format!("the process that compiles the component {how}")
}

fn explain(status: ExitStatus, limits: &ProcessArgs) -> String {
    let how = describe(status);
    match status.code() {
        // A failed allocation aborts the process, and the kernel kills processes when memory is short.
        None => format!(
            "{how}: it may require more than {} MiB of memory, a limit that --compile-memory raises",
            limits.compile_memory() >> 20
        ),
        Some(_) => how,
    }
}
