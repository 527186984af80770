//! The processor time and the memory that a process uses.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Returns the processor time of all threads of a process, including those that have ended. It is exact,
/// unlike the ticks of 10 ms in `/proc`.
pub fn cpu_time(process: u32) -> Result<Duration> {
    let process = libc::pid_t::try_from(process)?;
    let mut clock = 0;
    // SAFETY: the clock's number is valid for writes during the call.
    let code = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code)).context("no clock of the process");
    }
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the time is valid for writes during the call.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error()).context("no time of the process");
    }
    // SAFETY: it succeeded, so the time was written.
    let time = unsafe { time.assume_init() };
    let nanoseconds = u32::try_from(time.tv_nsec)?;
    Ok(Duration::new(u64::try_from(time.tv_sec)?, nanoseconds))
}

/// The memory of a process, or a share of it, in KiB.
#[derive(Clone, Copy, Debug, Serialize)]
pub struct Memory {
    /// Resident memory.
    pub resident_kib: f64,
    /// Page tables.
    pub page_tables_kib: f64,
}

impl Memory {
    pub fn of(process: u32) -> Result<Self> {
        let path = format!("/proc/{process}/status");
        let status = fs::read_to_string(&path).context(path)?;
        Ok(Self {
            resident_kib: field(&status, "VmRSS:")?,
            page_tables_kib: field(&status, "VmPTE:")?,
        })
    }

    /// Returns the growth since an earlier measurement, divided by `count`.
    pub fn growth(self, since: Self, count: u32) -> Self {
        let each = |now: f64, then: f64| (now - then) / f64::from(count);
        Self {
            resident_kib: each(self.resident_kib, since.resident_kib),
            page_tables_kib: each(self.page_tables_kib, since.page_tables_kib),
        }
    }

    pub fn total_kib(self) -> f64 {
        self.resident_kib + self.page_tables_kib
    }
}

/// Returns the value of a line such as `VmRSS:     1234 kB`.
fn field(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.with_context(|| format!("there is no {name} for the process"))?;
    Ok(number.parse()?)
}
