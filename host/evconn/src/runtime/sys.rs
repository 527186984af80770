//! What depends on the operating system.

use std::time::Duration;

/// Lowers the priority of the calling thread by this many nice levels. Only Linux has a priority for each thread;
/// elsewhere this would change the whole process.
pub(super) fn lower_priority(levels: i32) {
    #[cfg(target_os = "linux")]
    {
        use rustix::process::{getpriority_process, setpriority_process};
        let lowered = getpriority_process(None)
            .and_then(|nice| setpriority_process(None, nice.saturating_add(levels).min(19)));
        if let Err(error) = lowered {
            tracing::warn!(
                "no low priority for guests that compute a lot, which may delay others: {error}"
            );
        }
    }
    #[cfg(not(target_os = "linux"))]
    let _ = levels;
}

/// Returns for how long the calling thread has run, without the time in which others had the core. `None` where that
/// is not known.
pub(super) fn thread_time() -> Option<Duration> {
    #[cfg(target_os = "linux")]
    {
        let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
        let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
        let nanoseconds = u32::try_from(time.tv_nsec).unwrap_or(0);
        Some(Duration::new(seconds, nanoseconds))
    }
    #[cfg(not(target_os = "linux"))]
    None
}
