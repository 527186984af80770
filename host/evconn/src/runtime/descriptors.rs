//! The descriptors of this process: the guests share what its limit of open files leaves to them.

use super::sys;
use crate::sockets::SharedDescriptors;

/// Descriptors that guests never get: those of listeners, event loops, look-ups, files that are loaded again, and
/// connections whose peer is refused.
const RESERVED: u64 = 256;

/// Descriptors that each guest has in any case: its connection, and one more.
const OF_EACH: u64 = 2;

/// The largest table of descriptors that is made in advance, in descriptors: 512 KiB.
const LARGEST_TABLE: u64 = 1 << 16;

/// Has the kernel make the table of this process's descriptors as large as its limit of open files allows, up to 65,536
/// of them.
///
/// It would grow while connections are served, and on Linux the thread whose connection makes it grow would wait for
/// each thread of the machine that is within certain parts of the kernel: for hundreds of milliseconds, if one of them
/// has a low priority. [`HostBuilder::build`](crate::HostBuilder::build) calls this function. A program that calls it
/// while it has one thread does not wait at all, rather than for about 10 ms then.
pub fn reserve_descriptors() {
    let Some(limit) = limit() else {
        return;
    };
    let last = limit.min(LARGEST_TABLE).saturating_sub(1);
    if let Err(error) = sys::use_descriptor(i32::try_from(last).unwrap_or(i32::MAX)) {
        tracing::debug!(
            "the table of descriptors may grow while serving, which may delay answers: {error}"
        );
    }
}

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
