//! The number of connections is lowered to what this machine supports before anything is accepted.

use crate::machine::{self, Needs};
use crate::sys::resources;
use evconn::Limits;

/// Raises the limit of open files as far as this process may.
pub fn raise_descriptor_limit() {
    if let Err(error) = resources::raise_descriptor_limit() {
        tracing::warn!("cannot raise the limit of open files (ulimit -n): {error}");
    }
}

/// Lowers the number of connections to what this machine supports, and logs that.
pub fn fit(mut limits: Limits, needs: Needs) -> Limits {
    let fit = machine::fit(needs);
    lower(&mut limits, fit.max_connections, &fit.reasons.join("; "));
    limits
}

/// Lowers the number of connections to the capacity of the pools of all processes together, and logs that.
pub fn fit_pools(mut limits: Limits, capacity: usize, memories: usize) -> Limits {
    let reason = format!("an instance has {memories} memories, and the address space is limited");
    lower(&mut limits, capacity, &reason);
    limits
}

fn lower(limits: &mut Limits, capacity: usize, reason: &str) {
    let asked = limits.max_connections;
    if capacity < asked {
        limits.max_connections = capacity;
        tracing::warn!(
            "maximum number of connections lowered from {asked} to {capacity}: {reason}"
        );
    }
}
