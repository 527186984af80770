//! The loader: compiles the component, or reads its compiled code from the cache, and sends it to the supervisor.

use super::{Parse, first_message, no_command};
use crate::control::{FromLoader, Load, Loaded};
use crate::files::Input;
use crate::log;
use crate::server::{Code, Plan};
use crate::sys::child::set_name;
use crate::sys::memory;
use evconn::{Host, Limits};
use std::fs::File;
use std::io::Read;
use std::os::fd::OwnedFd;
use std::process::ExitCode;
use std::sync::Arc;

/// The first bytes of a binary. A component in text form has no source lines.
const MAGIC: &[u8] = b"\0asm";

/// Loads the component that the supervisor asks for.
pub fn run(parse: Parse) -> ExitCode {
    set_name(c"evconn-loader");
    let Some((channel, (load, files))) = first_message::<Load>() else {
        return no_command();
    };
    let (answer, files) = match loaded(parse, &load, files) {
        Ok((loaded, files)) => (FromLoader::Loaded(loaded), files),
        Err(error) => (FromLoader::Failed(format!("{error:#}")), Vec::new()),
    };
    // The log precedes the outcome.
    log::flush();
    match channel.send(&answer, files) {
        Ok(()) => ExitCode::SUCCESS,
        // The supervisor is gone.
        Err(_) => ExitCode::FAILURE,
    }
}

fn loaded(
    parse: Parse,
    load: &Load,
    files: Vec<OwnedFd>,
) -> anyhow::Result<(Loaded, Vec<OwnedFd>)> {
    let (plan, format) = parse(&load.arguments)?;
    log::start_in_child(format, load.is_terminal);
    let stdin = files.into_iter().next().map(read).transpose()?;
    compiled(&plan, stdin)
}

fn read(file: OwnedFd) -> anyhow::Result<Arc<[u8]>> {
    let mut bytes = Vec::new();
    File::from(file).read_to_end(&mut bytes)?;
    Ok(bytes.into())
}

fn compiled(plan: &Plan, stdin: Option<Arc<[u8]>>) -> anyhow::Result<(Loaded, Vec<OwnedFd>)> {
    let code = plan.component.open_again(stdin)?;
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
        Some(Input::Stdin(bytes)) => bytes.to_vec(),
        // If the file is replaced at this moment, only the source lines of traps are wrong.
        Some(Input::File(path)) => std::fs::read(path)?,
        None => Vec::new(),
    };
    match bytes.starts_with(MAGIC) {
        true => Ok(Some(memory::file("component", &bytes)?.into())),
        false => Ok(None),
    }
}
