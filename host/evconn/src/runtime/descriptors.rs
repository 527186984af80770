//! The descriptors that the guests of this process share: what its limit of open files leaves to them.

use crate::sockets::SharedDescriptors;

/// Descriptors that guests never get: those of listeners, event loops, look-ups, files that are loaded again, and
/// connections whose peer is refused.
const RESERVED: u64 = 256;

/// Descriptors that each guest has in any case: its connection, and one more.
const OF_EACH: u64 = 2;

/// Returns what is left for guests, beyond the descriptors that each of them has in any case.
pub fn shared(max_connections: usize) -> SharedDescriptors {
    let in_any_case = OF_EACH.saturating_mul(max_connections as u64);
    let left = limit().map(|limit| left(limit, in_any_case));
    SharedDescriptors::new(left.unwrap_or(usize::MAX))
}

fn left(limit: u64, in_any_case: u64) -> usize {
    let left = limit.saturating_sub(RESERVED).saturating_sub(in_any_case);
    usize::try_from(left).unwrap_or(usize::MAX)
}

/// Returns the limit of open files. None: there is none.
fn limit() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guests_share_what_connections_leave() {
        assert_eq!(left(20_000, 2_000), 17_744);
        assert_eq!(left(1_024, 2_000), 0);
        assert_eq!(left(64, 2), 0);
    }
}
