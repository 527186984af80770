//! What the machine has room for is known before a server accepts anything.

use crate::machine::{self, Needs};
use evconn::Limits;

/// Raise the limit of descriptors, and lower that of connections to what this machine has room for. That
/// is logged, by the name that the limit has.
pub fn fit(limit: &str, mut limits: Limits, needs: Needs) -> Limits {
    if let Err(error) = machine::raise_descriptor_limit() {
        tracing::warn!("the limit of descriptors (ulimit -n) cannot be raised: {error}");
    }
    let asked = limits.max_connections;
    let fit = machine::fit(needs);
    limits.max_connections = fit.max_connections;
    if fit.max_connections < asked {
        let reasons = fit.reasons.join("; ");
        tracing::warn!(
            "{limit} {asked} was lowered to {}: {reasons}",
            fit.max_connections
        );
    }
    limits
}

/// How many threads serve connections if nothing is said of it.
pub fn default_workers() -> usize {
    std::thread::available_parallelism().map_or(1, Into::into)
}
