//! What depends on the operating system.

#[cfg(target_os = "linux")]
mod limited;
#[cfg(not(target_os = "linux"))]
#[path = "unlimited.rs"]
mod limited;

pub(super) use limited::Limited;

use std::cell::Cell;
use std::io;
use std::time::Duration;

thread_local! {
    static HAS_LOW_PRIORITY: Cell<bool> = const { Cell::new(false) };
}

/// Returns whether the calling thread has lowered its priority. The threads that it starts would have the same.
pub(super) fn has_low_priority() -> bool {
    HAS_LOW_PRIORITY.get()
}

/// Lowers the priority of the calling thread by this many nice levels. Only Linux has a priority for each thread;
/// elsewhere this would change the whole process.
pub(super) fn lower_priority(levels: i32) {
    HAS_LOW_PRIORITY.set(true);
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

/// Asks the kernel for short slices on this thread. They change how often it runs, not its share of the
/// core. And a thread that offers its core gives up the rest of its slice (since Linux 6.18): of a long
/// slice, that would be most of its share.
pub(super) fn prefer_short_slices() {
    #[cfg(target_os = "linux")]
    if let Err(error) = linux::set_slice(linux::SLICE) {
        tracing::debug!("no short time slices for workers, which may delay answers: {error}");
    }
}

/// Opens something as a descriptor with this number, or the next one that is free, and closes it again.
pub(super) fn use_descriptor(number: i32) -> io::Result<()> {
    #[cfg(target_os = "linux")]
    {
        use rustix::event::{EventfdFlags, eventfd};
        let any = eventfd(0, EventfdFlags::CLOEXEC)?;
        rustix::io::fcntl_dupfd_cloexec(&any, number)?;
    }
    #[cfg(not(target_os = "linux"))]
    let _ = number;
    Ok(())
}

#[cfg(target_os = "linux")]
#[allow(
    unsafe_code,
    reason = "the C library has no functions for these system calls"
)]
mod linux {
    use std::io;
    use std::time::Duration;

    /// The shortest slice that Linux supports (sched_setattr(2)).
    pub const SLICE: Duration = Duration::from_micros(100);

    /// Sets the length of this thread's slices, if it has the default scheduling policy. Linux before
    /// 6.12 accepts this without effect.
    pub fn set_slice(slice: Duration) -> io::Result<()> {
        let mut attributes = attributes()?;
        let shares = [libc::SCHED_OTHER, libc::SCHED_BATCH];
        if !shares.contains(&attributes.sched_policy.cast_signed()) {
            return Ok(());
        }
        attributes.sched_runtime = slice.as_nanos() as u64;
        // SAFETY: the structure lives across the call and begins with its own size; 0 is this thread.
        let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const attributes, 0) };
        match result {
            0 => Ok(()),
            _ => Err(io::Error::last_os_error()),
        }
    }

    /// Returns how the kernel schedules this thread.
    pub fn attributes() -> io::Result<libc::sched_attr> {
        let size = size_of::<libc::sched_attr>() as u32;
        let mut attributes = libc::sched_attr {
            size,
            sched_policy: 0,
            sched_flags: 0,
            sched_nice: 0,
            sched_priority: 0,
            sched_runtime: 0,
            sched_deadline: 0,
            sched_period: 0,
        };
        // SAFETY: the structure lives across the call, and no more than its size is written to it; 0 is
        // this thread.
        let result =
            unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, size, 0) };
        match result {
            0 => Ok(attributes),
            _ => Err(io::Error::last_os_error()),
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::linux::{SLICE, attributes};
    use super::*;

    #[test]
    fn short_slices_leave_the_priority_as_it_is() {
        rustix::process::setpriority_process(None, 5).expect("a lower priority");
        let before = attributes().expect("how it is");
        prefer_short_slices();
        let after = attributes().expect("how it is");
        assert_eq!(after.sched_nice, 5);
        assert_eq!(after.sched_policy, before.sched_policy);
        match after.sched_runtime {
            slice if u128::from(slice) == SLICE.as_nanos() => (),
            // Nor does Linux before 6.12 report the length.
            0 => println!("skipped: this kernel has slices of one length only"),
            other => panic!("slices of {other} ns"),
        }
    }

    #[test]
    fn the_table_of_descriptors_is_as_large_as_what_was_used() {
        let size = || {
            let status = std::fs::read_to_string("/proc/self/status").expect("a status");
            let line = status.lines().find_map(|line| line.strip_prefix("FDSize:"));
            let size = line.and_then(|size| size.trim().parse().ok());
            size.expect("the size of the table")
        };
        let limit = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
        let last = limit.map_or(1 << 16, |limit| limit.min(1 << 16)) as i32 - 1;
        use_descriptor(last).expect("a descriptor");
        let made: i32 = size();
        assert!(made > last, "{made} {last}");
    }

    #[test]
    #[allow(unsafe_code, reason = "the C library has no function for it")]
    fn a_thread_of_another_kind_stays_what_it_is() {
        let mut idle = attributes().expect("how it is");
        idle.sched_policy = libc::SCHED_IDLE.cast_unsigned();
        // SAFETY: the structure lives across the call and begins with its own size; 0 is this thread.
        let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, &raw const idle, 0) };
        assert_eq!(result, 0);
        prefer_short_slices();
        let policy = attributes().expect("how it is").sched_policy;
        assert_eq!(policy, idle.sched_policy);
    }
}
