//! A server, from its flags to its end.

pub mod capacity;
pub mod reload;
