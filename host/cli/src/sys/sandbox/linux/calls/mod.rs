//! seccomp: the system calls that a worker may make. [`table`] is the list, and `filter` turns it into a filter.
//!
//! A call that is not in the list fails with EPERM, rather than ending the process: a library that tries an optional
//! call continues without it, and so do the worker's connections.

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
