//! The processor time and the memory that a server uses: a process and its descendants.

use crate::family;
use anyhow::{Context, Result, bail};
use rustix::io::Errno;
use serde::Serialize;
use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::mem::MaybeUninit;
use std::time::Duration;

/// The processor time of a process and of each of its descendants.
pub struct CpuTimes(BTreeMap<u32, Duration>);

impl CpuTimes {
    /// Returns the times of the processes that run now.
    pub fn of(root: u32) -> Result<Self> {
        let mut times = BTreeMap::new();
        for process in family::of(root)? {
            match cpu_time(process) {
                Ok(time) => drop(times.insert(process, time)),
                Err(error) if has_no_clock(&error) && process != root => {}
                Err(error) => return Err(error).context("processor time"),
            }
        }
        Ok(Self(times))
    }

    /// Returns the time since an earlier measurement. That of a process that was started since counts as
    /// a whole, and that of a process that has ended since does not count.
    pub fn since(&self, earlier: &Self) -> Duration {
        let times = self.0.iter().map(|(process, &time)| {
            let before = earlier.0.get(process).copied();
            time.saturating_sub(before.unwrap_or_default())
        });
        times.sum()
    }
}

/// Returns whether this error of a clock means that its process has ended: EINVAL if there is no such
/// process.
fn has_no_clock(error: &io::Error) -> bool {
    let ended = [Errno::SRCH, Errno::INVAL].map(|errno| Some(errno.raw_os_error()));
    ended.contains(&error.raw_os_error())
}

/// Returns the processor time of all threads of a process, including those that have ended. It is exact,
/// unlike the ticks of 10 ms in `/proc`.
pub fn cpu_time(process: u32) -> io::Result<Duration> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    let mut clock = 0;
    // SAFETY: the clock's number is valid for writes during the call.
    let code = unsafe { libc::clock_getcpuclockid(process, &raw mut clock) };
    if code != 0 {
        return Err(io::Error::from_raw_os_error(code));
    }
    let mut time = MaybeUninit::<libc::timespec>::uninit();
    // SAFETY: the time is valid for writes during the call.
    if unsafe { libc::clock_gettime(clock, time.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: it succeeded, so the time was written.
    let time = unsafe { time.assume_init() };
    let seconds = u64::try_from(time.tv_sec).map_err(io::Error::other)?;
    let nanoseconds = u32::try_from(time.tv_nsec).map_err(io::Error::other)?;
    Ok(Duration::new(seconds, nanoseconds))
}

/// The memory of a process and its descendants, or a share of it, in KiB.
#[derive(Clone, Copy, Debug, Default, Serialize)]
pub struct Memory {
    /// Proportional memory (PSS): a page that is mapped several times, by one process or by several,
    /// counts as one page in all.
    pub proportional_kib: f64,
    /// Resident memory (RSS): a page counts each time that it is mapped.
    pub resident_kib: f64,
    /// Page tables, which no process shares.
    pub page_tables_kib: f64,
}

impl Memory {
    pub fn of(root: u32) -> Result<Self> {
        let mut sum = Self::default();
        for process in family::of(root)? {
            match Self::of_one(process)? {
                Some(memory) => sum = sum.plus(memory),
                None if process == root => bail!("the process {process} has ended"),
                None => {}
            }
        }
        Ok(sum)
    }

    /// Returns the memory of one process, unless it has ended.
    fn of_one(process: u32) -> Result<Option<Self>> {
        let rollup = read(process, "smaps_rollup")?;
        let status = read(process, "status")?;
        let (Some(rollup), Some(status)) = (rollup, status) else {
            return Ok(None);
        };
        // A process that has ended has a status until its parent waits for it, but no memory.
        Ok(field(&status, "VmPTE:")?
            .zip(field(&rollup, "Pss:")?)
            .zip(field(&rollup, "Rss:")?)
            .map(|((page_tables_kib, proportional_kib), resident_kib)| Self {
                proportional_kib,
                resident_kib,
                page_tables_kib,
            }))
    }

    /// Returns the growth since an earlier measurement, divided by `count`.
    pub fn growth(self, since: Self, count: u32) -> Self {
        let each = |now: f64, then: f64| (now - then) / f64::from(count);
        Self {
            proportional_kib: each(self.proportional_kib, since.proportional_kib),
            resident_kib: each(self.resident_kib, since.resident_kib),
            page_tables_kib: each(self.page_tables_kib, since.page_tables_kib),
        }
    }

    pub fn total_kib(self) -> f64 {
        self.proportional_kib + self.page_tables_kib
    }

    fn plus(self, other: Self) -> Self {
        Self {
            proportional_kib: self.proportional_kib + other.proportional_kib,
            resident_kib: self.resident_kib + other.resident_kib,
            page_tables_kib: self.page_tables_kib + other.page_tables_kib,
        }
    }
}

/// Reads a file of a process, unless that has ended.
fn read(process: u32, file: &str) -> Result<Option<String>> {
    let path = format!("/proc/{process}/{file}");
    match fs::read_to_string(&path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if family::has_ended(&error) => Ok(None),
        Err(error) => Err(error).context(path),
    }
}

/// Returns the value of a line such as `VmRSS:     1234 kB`, if there is one.
fn field(text: &str, name: &str) -> Result<Option<f64>> {
    let line = text.lines().find_map(|line| line.strip_prefix(name));
    let number = line.and_then(|line| line.split_whitespace().next());
    let number = number.map(|number| number.parse().with_context(|| format!("{name} {number}")));
    number.transpose()
}

#[cfg(test)]
mod tests {
    use super::{CpuTimes, Memory};
    use crate::family::testing::Shell;
    use std::process::id;
    use std::time::Duration;

    /// Computes for some time, says so, and waits.
    const BUSY: &str =
        "i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done; echo done; read line <&3";

    /// Fills a variable with 16 MiB.
    const FILL: &str = "x=$(head -c 16777216 /dev/zero | tr '\\0' x)";

    #[test]
    fn the_processor_time_of_a_grandchild_counts_until_it_ends() {
        let mut shell = Shell::run(&format!(
            "echo begin; read line <&3; ( ({BUSY}); echo ended) & wait; read line <&3"
        ));
        assert_eq!(shell.line(), "begin");
        let begin = CpuTimes::of(shell.id()).expect("it runs");
        shell.send("go");
        assert_eq!(shell.line(), "done");
        let done = CpuTimes::of(shell.id()).expect("it runs");
        let busy = done.since(&begin);
        assert!(busy > Duration::from_millis(20), "{busy:?}");
        assert_eq!(begin.since(&begin), Duration::ZERO);

        shell.send("end");
        assert_eq!(shell.line(), "ended");
        let ended = CpuTimes::of(shell.id()).expect("it runs");
        assert!(ended.since(&begin) < busy);
    }

    #[test]
    fn the_memory_of_a_child_counts() {
        let script =
            format!("(echo begin; read line <&3; {FILL}; echo full; read line <&3) & wait");
        let mut shell = Shell::run(&script);
        assert_eq!(shell.line(), "begin");
        let begin = Memory::of(shell.id()).expect("it runs");
        shell.send("go");
        assert_eq!(shell.line(), "full");
        let growth = Memory::of(shell.id()).expect("it runs").growth(begin, 1);
        assert!(growth.proportional_kib > 15_000.0, "{growth:?}");
        assert!(growth.page_tables_kib > 0.0, "{growth:?}");
    }

    #[test]
    fn memory_that_processes_share_counts_once_in_proportion() {
        let child = "(echo full; read line <&3)";
        let mut shell = Shell::run(&format!("{FILL}; {child} & {child} & {child} & wait"));
        for _ in 0..3 {
            assert_eq!(shell.line(), "full");
        }
        let memory = Memory::of(shell.id()).expect("it runs");
        assert!(memory.resident_kib > 4.0 * 16_384.0, "{memory:?}");
        assert!(
            memory.proportional_kib < memory.resident_kib / 2.0,
            "{memory:?}"
        );
    }

    #[test]
    fn a_process_that_has_ended_has_no_memory() {
        assert!(Memory::of(u32::MAX).is_err());
        assert!(CpuTimes::of(u32::MAX).is_err());
        assert!(Memory::of(id()).is_ok());
    }
}
