//! seccomp: the system calls that a worker may make. The list is in [`table`]; this makes a filter of it.
//!
//! A call that is not in the list fails with EPERM, rather than ending the process: a library that tries
//! something on the side carries on without it, and the worker's connections with it.

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
mod filter;
#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub mod table;

use super::{Missing, Needs};

#[cfg(any(target_arch = "x86_64", target_arch = "aarch64"))]
pub use filter::confine;

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
pub fn confine(_: &Needs) -> anyhow::Result<Option<Missing>> {
    let why = "only those of x86_64 and aarch64 are known";
    Ok(Some(Missing::Calls(why.to_owned())))
}
