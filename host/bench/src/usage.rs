//! What a process uses: the time of processors, and memory.

use anyhow::{Context, Result};
use serde::Serialize;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// How long the threads of a process have computed until now, those that have ended included. The
/// kernel counts it exactly, unlike what `/proc` tells in ticks of 10 ms.
pub fn cpu_time(process: u32) -> Result<Duration> {
    let process = libc::pid_t::try_from(process)?;
    let mut clock = 0;
    // SAFETY: it writes to the clock's number, which lives on.
    let code = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code)).context("no clock of the process");
    }
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: it writes to the time, which lives on.
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
    /// What is in memory of what it has mapped.
    pub resident_kib: f64,
    /// The tables that tell the processor where.
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

    /// What has come since then, for each of so many.
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

/// A line such as `VmRSS:     1234 kB`.
fn field(status: &str, name: &str) -> Result<f64> {
    let line = status.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.with_context(|| format!("there is no {name} for the process"))?;
    Ok(number.parse()?)
}
