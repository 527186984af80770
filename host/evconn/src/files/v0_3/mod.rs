//! `wasi:filesystem` of WASI 0.3: the same files, operations and accounts as those of WASI 0.2, with asynchronous
//! functions and streams.
//!
//! Where it ends: what is done on a file is up to the [interfaces of WASI 0.2](super::descriptor).

mod convert;
mod descriptor;
mod listing;
mod reading;
mod writing;

use super::{FilesView, HasFiles, files};
use wasmtime::component::Linker;
use wasmtime_wasi::p3::bindings::filesystem::{preopens, types};

/// How a stream ends.
type Ended = Result<(), types::ErrorCode>;

/// Replaces wasmtime-wasi's interfaces in a linker.
pub(crate) fn add_async_files_to_linker<T: FilesView + 'static>(
    linker: &mut Linker<T>,
) -> wasmtime::Result<()> {
    linker.allow_shadowing(true);
    types::add_to_linker::<T, HasFiles>(linker, files::<T>)?;
    preopens::add_to_linker::<T, HasFiles>(linker, files::<T>)?;
    linker.allow_shadowing(false);
    Ok(())
}
