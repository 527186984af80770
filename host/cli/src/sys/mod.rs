//! What depends on the operating system: all `cfg` of platforms in this crate is here.

#[cfg(unix)]
pub mod allocator;
#[cfg(unix)]
pub mod child;
#[cfg(unix)]
pub mod descriptors;
pub mod files;
mod importance;
#[cfg(unix)]
pub mod memory;
#[cfg(unix)]
pub mod program;
pub mod resources;
#[cfg(unix)]
#[cfg_attr(
    not(target_os = "linux"),
    allow(dead_code, reason = "only Linux has a sandbox")
)]
pub mod sandbox;
pub mod signals;
#[cfg_attr(not(unix), path = "no_systemd.rs")]
pub mod systemd;
pub mod threads;

pub use importance::Importance;
