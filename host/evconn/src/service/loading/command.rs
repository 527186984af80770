//! Loading commands: programs that a host runs in one instance.

use super::{check_interfaces, compile, contract, incompatible};
use crate::error::{LoadProblem, one_line};
use crate::files::add_files_to_linker;
use crate::store::StoreState;
use crate::{Host, open_file, runtime, sockets};
use std::fs::File;
use wasmtime::component::{Component, Linker};
use wasmtime_wasi::p2::bindings::CommandPre;

/// Loads the compiled code of a command by mapping it, or by reading it where it cannot be mapped, and links it.
///
/// # Safety
/// As [`Service::from_mapped`](crate::Service::from_mapped).
#[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
pub(crate) unsafe fn map_command(
    host: &Host,
    code: &File,
) -> Result<CommandPre<StoreState>, LoadProblem> {
    // SAFETY: the caller guarantees it.
    let mapped = unsafe { runtime::map(host.programs(), code) }.transpose();
    let component = mapped.unwrap_or_else(|| {
        let bytes = open_file::read(code)?;
        // SAFETY: likewise.
        unsafe { Component::deserialize(host.programs(), bytes) }
    });
    link_command(&component.map_err(|error| incompatible(host, &error))?)
}

/// Compiles, checks and links a command.
pub(crate) fn command(
    host: &Host,
    name: &str,
    binary: &[u8],
) -> Result<CommandPre<StoreState>, LoadProblem> {
    let engine = host.programs();
    check_interfaces(binary, contract::check_command)?;
    link_command(&compile(host, engine, name, binary)?)
}

fn link_command(component: &Component) -> Result<CommandPre<StoreState>, LoadProblem> {
    let unlinkable = |error| LoadProblem::Unlinkable(one_line(&error));
    let mut linker = Linker::<StoreState>::new(component.engine());
    sockets::p2::add_to_linker(&mut linker)
        .and_then(|()| sockets::p2::add_granted_to_linker(&mut linker))
        .and_then(|()| add_files_to_linker(&mut linker))
        .and_then(|()| CommandPre::new(linker.instantiate_pre(component)?))
        .map_err(unlinkable)
}
