//! Loading commands: programs that a host runs in one instance.

use super::{check_interfaces, compile, contract, in_engine_of, incompatible, wasi_version};
use crate::error::{LoadProblem, one_line};
use crate::files::{add_async_files_to_linker, add_files_to_linker};
use crate::interfaces::WasiVersion;
use crate::store::StoreState;
use crate::{Host, open_file, runtime, sockets};
use std::fs::File;
use wasmtime::component::{Component, InstancePre, Linker};
use wasmtime::{Engine, Store};
use wasmtime_wasi::{p2, p3};

/// A linked command.
#[derive(Clone)]
pub(crate) enum Command {
    V0_2(p2::bindings::CommandPre<StoreState>),
    V0_3(p3::bindings::CommandPre<StoreState>),
}

impl Command {
    fn instance_pre(&self) -> &InstancePre<StoreState> {
        match self {
            Self::V0_2(command) => command.instance_pre(),
            Self::V0_3(command) => command.instance_pre(),
        }
    }

    pub fn component(&self) -> &Component {
        self.instance_pre().component()
    }

    pub fn wasi(&self) -> WasiVersion {
        match self {
            Self::V0_2(_) => WasiVersion::V0_2,
            Self::V0_3(_) => WasiVersion::V0_3,
        }
    }

    /// Runs it to its end.
    pub async fn run(&self, store: &mut Store<StoreState>) -> wasmtime::Result<Result<(), ()>> {
        match self {
            Self::V0_2(command) => {
                let command = command.instantiate_async(&mut *store).await?;
                command.wasi_cli_run().call_run(store).await
            }
            Self::V0_3(command) => {
                let command = command.instantiate_async(&mut *store).await?;
                let run = async |store: &_| command.wasi_cli_run().call_run(store).await;
                store.run_concurrent(run).await?
            }
        }
    }
}

/// Loads the compiled code of a command by mapping it, or by reading it where it cannot be mapped, and links it.
///
/// # Safety
/// As [`Service::from_mapped`](crate::Service::from_mapped).
#[allow(unsafe_code, reason = "compiled code is loaded unchecked")]
pub(crate) unsafe fn map_command(host: &Host, code: &File) -> Result<Command, LoadProblem> {
    let load = |version| {
        let engine = programs(host, version)?;
        // SAFETY: the caller guarantees it.
        let mapped = unsafe { runtime::map(engine, code) }.transpose();
        let component = mapped.unwrap_or_else(|| {
            let bytes = open_file::read(code)?;
            // SAFETY: likewise.
            unsafe { Component::deserialize(engine, bytes) }
        });
        component.map_err(|error| incompatible(host, &error))
    };
    link_command(&in_engine_of(host.wasi(), load)?)
}

/// Compiles, checks and links a command.
pub(crate) fn command(host: &Host, name: &str, binary: &[u8]) -> Result<Command, LoadProblem> {
    check_interfaces(binary, contract::check_command)?;
    let engine = programs(host, wasi_version(binary))?;
    link_command(&compile(host, engine, name, binary)?)
}

/// Returns the engine for programs of a version of WASI.
fn programs(host: &Host, version: WasiVersion) -> Result<&Engine, LoadProblem> {
    let engine = host.programs(version);
    engine.map_err(|error| LoadProblem::NoEngine(one_line(&error)))
}

fn link_command(component: &Component) -> Result<Command, LoadProblem> {
    let wasi = super::Outline::of_compiled(component).wasi();
    linked(component, wasi).map_err(|error| LoadProblem::Unlinkable(one_line(&error)))
}

fn linked(component: &Component, wasi: WasiVersion) -> wasmtime::Result<Command> {
    let mut linker = Linker::<StoreState>::new(component.engine());
    sockets::p2::add_to_linker(&mut linker)?;
    sockets::p2::add_granted_to_linker(&mut linker)?;
    add_files_to_linker(&mut linker)?;
    if wasi == WasiVersion::V0_3 {
        sockets::p3::add_to_linker(&mut linker)?;
        sockets::p3::add_granted_to_linker(&mut linker)?;
        add_async_files_to_linker(&mut linker)?;
    }
    let pre = linker.instantiate_pre(component)?;
    Ok(match wasi {
        WasiVersion::V0_2 => Command::V0_2(p2::bindings::CommandPre::new(pre)?),
        WasiVersion::V0_3 => Command::V0_3(p3::bindings::CommandPre::new(pre)?),
    })
}
