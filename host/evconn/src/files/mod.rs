//! `wasi:filesystem`, of WASI 0.2 and in [`v0_3`] of WASI 0.3: wasmtime-wasi's files, with what each guest has of them counted, and off the threads that
//! serve connections.
//!
//! What a call does on a file is done by wasmtime-wasi, on a thread for blocking calls ([`Operations`]). What a
//! guest has open is charged to its account, until neither a descriptor nor a stream of it is left.
//!
//! Where it ends: which directories there are is decided by the [grants](crate::Grants).

mod descriptor;
mod input;
mod listing;
mod open;
mod opened;
mod operations;
mod output;
mod v0_3;

pub(crate) use operations::Operations;
pub(crate) use v0_3::add_async_files_to_linker;

use crate::sockets::{Account, Awaits, Incoming, TcpView};
use wasmtime::component::{HasData, Linker, ResourceTable};
use wasmtime_wasi::filesystem::WasiFilesystemCtx;
use wasmtime_wasi::p2::bindings::filesystem::{preopens, types};

/// Gives access to what a store has of files. Implemented for the store's data.
pub(crate) trait FilesView: TcpView {
    /// Returns the operations on files that are in progress for the guest.
    fn operations(&self) -> &Operations;
}

/// What the interfaces work on.
struct Files<'a> {
    granted: &'a mut WasiFilesystemCtx,
    table: &'a mut ResourceTable,
    account: Option<Account>,
    operations: Operations,
    /// Asks what a guest of WASI 0.3 waits for.
    incoming: Option<Incoming>,
}

impl Files<'_> {
    /// Records that the guest waits for an operation, until what this returns is dropped.
    fn awaits(&self) -> Option<Awaits> {
        self.incoming.as_ref().map(Incoming::waits_for_host)
    }
}

struct HasFiles;

impl HasData for HasFiles {
    type Data<'a> = Files<'a>;
}

fn files<T: FilesView>(state: &mut T) -> Files<'_> {
    let operations = state.operations().clone();
    let sockets = state.tcp();
    let account = sockets.ctx.account().cloned();
    let incoming = sockets.incoming.cloned();
    let wasi = state.ctx();
    Files {
        granted: wasi.ctx.filesystem(),
        table: wasi.table,
        account,
        operations,
        incoming,
    }
}

/// Replaces wasmtime-wasi's interfaces in a linker.
pub(crate) fn add_files_to_linker<T: FilesView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<T, HasFiles>(linker, files::<T>)?;
    preopens::add_to_linker::<T, HasFiles>(linker, files::<T>)?;
    linker.allow_shadowing(false);
    Ok(())
}
