//! Has a component compiled in a process of its own, with limits of time and memory: a hostile component may
//! exceed any, and the compiler is large code.

use super::process::{self, Process};
use crate::args::ProcessArgs;
use crate::control::{FromLoader, Load, Loaded, Receiver};
use crate::files::read_for_others;
use crate::server::Plan;
use crate::sys::allocator::OUT_OF_MEMORY;
use crate::sys::child::{Bounds, Child, describe};
use crate::sys::{memory, threads};
use anyhow::{Context, bail};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::ExitStatus;
use std::sync::Arc;
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
pub async fn load(plan: &Arc<Plan>, stdin: Option<&[u8]>) -> anyhow::Result<Compiled> {
    let bytes = match stdin {
        Some(bytes) => Some(memory::file("component", bytes)?.into()),
        None => read_for_loader(plan).await?,
    };
    let limits = &plan.server.processes;
    let bounds = Bounds {
        memory: Some(limits.compile_memory()),
    };
    let (process, mut messages) =
        process::start::<Load, FromLoader>("loader", bounds).context("cannot start a loader")?;
    let load = Load {
        arguments: std::env::args_os().collect(),
        is_terminal: super::is_terminal(),
    };
    let sent = process.control.send(&load, bytes.into_iter().collect());
    let outcome = match sent {
        Ok(()) => tokio::time::timeout(limits.compile_timeout(), outcome(&mut messages)).await,
        Err(_) => Ok(None),
    };
    let Process { child, log, .. } = process;
    match outcome {
        Ok(outcome) => {
            // The loader's log precedes what this process logs about the outcome.
            let _ = tokio::time::timeout(LOG_TIMEOUT, log).await;
            match outcome {
                Some(outcome) => outcome,
                None => bail!("{}", died(child, limits).await),
            }
        }
        Err(_) => bail!(
            "compiling the component takes longer than {:?}: raise the limit with --compile-timeout",
            limits.compile_timeout()
        ),
    }
}

/// Reads the component here if the loader cannot.
async fn read_for_loader(plan: &Arc<Plan>) -> anyhow::Result<Option<OwnedFd>> {
    let Some(path) = plan.component.path().map(Path::to_owned) else {
        return Ok(None);
    };
    let read = threads::run(move || {
        let bytes = read_for_others(&path)?;
        let file = bytes.map(|bytes| memory::file("component", &bytes));
        Ok(file.transpose()?.map(OwnedFd::from))
    });
    read.await?
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

async fn died(child: Child, limits: &ProcessArgs) -> String {
    let status = threads::run(move || child.wait()).await;
    let how = match status.flatten() {
        Ok(status) => explain(status, limits),
        Err(error) => format!("is gone: {error}"),
    };
    format!("the process that compiles the component {how}")
}

fn explain(status: ExitStatus, limits: &ProcessArgs) -> String {
    let most = limits.compile_memory() >> 20;
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
