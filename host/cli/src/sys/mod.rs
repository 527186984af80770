//! What differs between operating systems: signals, service managers.

pub mod signals;
pub mod systemd;
