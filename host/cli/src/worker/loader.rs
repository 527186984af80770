//! The loader: compiles the component, or reads its compiled code from the cache, and sends it to the supervisor.

use super::{Parse, first_message, no_command};
use crate::control::{FromLoader, Load, Loaded};
use crate::files::Input;
use crate::log;
use crate::server::{Code, Plan};
use crate::sys::allocator::exit_when_out_of_memory;
use crate::sys::child::set_name;
use crate::sys::memory;
use anyhow::{Context, anyhow};
use evconn::{Host, Limits};
use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::process::ExitCode;
use std::sync::{Arc, mpsc};

/// The first bytes of a binary. A component in text form has no source lines.
const MAGIC: &[u8] = b"\0asm";

/// Loads the component that the supervisor asks for.
pub fn run(parse: Parse) -> ExitCode {
    set_name(c"evconn-loader");
    exit_when_out_of_memory();
    let Some((channel, (load, files))) = first_message::<Load>() else {
        return no_command();
    };
    let (answer, files) = match guarded(|| loaded(parse, &load, files)) {
        Ok((loaded, files)) => (FromLoader::Loaded(loaded), files),
        Err(error) => (FromLoader::Failed(explain(&error)), Vec::new()),
    };
    // The log precedes the outcome.
    log::flush();
    match channel.send(&answer, files) {
        Ok(()) => ExitCode::SUCCESS,
        // The supervisor is gone.
        Err(_) => ExitCode::FAILURE,
    }
}

/// Runs work of which a panic is an error in one line: the compiler is large, and a component may be hostile.
fn guarded<T>(work: impl FnOnce() -> anyhow::Result<T>) -> anyhow::Result<T> {
    let (sender, panics) = mpsc::channel();
    std::panic::set_hook(Box::new(move |panic| {
        // The receiver is there for as long as this program compiles.
        let _ = sender.send(panic.to_string().replace('\n', " "));
    }));
    let outcome = catch_unwind(AssertUnwindSafe(work));
    let panic = panics.try_recv().unwrap_or_default();
    outcome.unwrap_or_else(|_| Err(anyhow!("the compiler has failed{SCARCE}: {panic}")))
}

/// What may be the reason if the system refuses memory or a thread.
const SCARCE: &str =
    " (memory, which --compile-memory limits, or threads, which `ulimit -u` limits, may be scarce)";

/// Returns the reason of a failure, in one line.
fn explain(error: &anyhow::Error) -> String {
    let text = format!("{error:#}");
    // wasmtime passes the system's errors on as text only.
    let mut of_scarcity = [libc::EAGAIN, libc::ENOMEM]
        .map(io::Error::from_raw_os_error)
        .into_iter();
    match of_scarcity.any(|error| text.contains(&error.to_string())) {
        true => text + SCARCE,
        false => text,
    }
}

fn loaded(
    parse: Parse,
    load: &Load,
    files: Vec<OwnedFd>,
) -> anyhow::Result<(Loaded, Vec<OwnedFd>)> {
    let (plan, format) = parse(&load.arguments)?;
    log::start_in_child(format, load.is_terminal);
    let bytes = files.into_iter().next().map(read).transpose()?;
    compiled(&plan, bytes)
}

fn read(file: OwnedFd) -> anyhow::Result<Arc<[u8]>> {
    let mut bytes = Vec::new();
    File::from(file)
        .read_to_end(&mut bytes)
        .context("cannot read what the supervisor has read")?;
    Ok(bytes.into())
}

fn compiled(plan: &Plan, bytes: Option<Arc<[u8]>>) -> anyhow::Result<(Loaded, Vec<OwnedFd>)> {
    let code = plan.component.open_again(bytes)?;
    // The number of instances is decided by each worker.
    let limits = Limits {
        max_connections: 1,
        ..plan.server.limits()
    };
    let host = Host::builder().limits(&limits).cache(plan.cache.cache());
    let host = host.workers(std::num::NonZero::<usize>::MIN).build()?;
    let service = code.load(&host)?;
    let mut files = vec![
        memory::file("code", &service.serialize()?)?.into(),
        memory::file("listener", &host.listener_code()?)?.into(),
    ];
    let binary = binary(&code)?;
    let loaded = Loaded {
        memories: service.memories(),
        has_binary: binary.is_some(),
    };
    files.extend(binary);
    Ok((loaded, files))
}

/// Returns the binary of a component, for the source lines of its traps.
fn binary(code: &Code) -> anyhow::Result<Option<OwnedFd>> {
    let bytes = match code.input() {
        Some(Input::Stdin(bytes) | Input::Read(_, bytes)) => bytes.to_vec(),
        // If the file is replaced at this moment, only the source lines of traps are wrong.
        Some(Input::File(path)) => {
            std::fs::read(path).with_context(|| format!("cannot read {} again", path.display()))?
        }
        None => Vec::new(),
    };
    match bytes.starts_with(MAGIC) {
        true => Ok(Some(memory::file("component", &bytes)?.into())),
        false => Ok(None),
    }
}
