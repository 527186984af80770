//! `get-local-address` and `get-remote-address`: the same as for 0.2.

pub use crate::sockets::addresses::{after_a_reset, of_both_ends, of_the_host};
