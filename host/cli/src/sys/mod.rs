//! What depends on the operating system: all `cfg` of platforms in this crate is here.

pub mod files;
pub mod resources;
pub mod signals;
#[cfg_attr(not(unix), path = "no_systemd.rs")]
pub mod systemd;
