//! The cores on which client and server run.
//!
//! With one connection, only one of the two is busy at a time. Then the kernel's choice of cores matters
//! more than anything else: waking a thread on an idle core takes several times as long as a small
//! message. So both run on one core, for every server.

use crate::family;
use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs;

/// Keeps the client on one core while this exists. The server, all its processes, stays on the same core.
pub struct OnOneCore {
    before: CpuSet,
}

impl OnOneCore {
    /// Call this on a thread that may run on all cores. Threads that the client starts later inherit the
    /// choice.
    pub fn with(server: u32) -> Result<Self> {
        let before = sched_getaffinity(None).context("the cores of the client")?;
        let last = (0..CpuSet::MAX_CPU).rev().find(|&core| before.is_set(core));
        let mut one = CpuSet::new();
        one.set(last.context("no core")?);
        for process in family::of(server)? {
            place(process, &one)?;
        }
        let placed = Self { before };
        place(std::process::id(), &one)?;
        Ok(placed)
    }
}

impl Drop for OnOneCore {
    fn drop(&mut self) {
        if let Err(error) = place(std::process::id(), &self.before) {
            eprintln!("error: the client stays on one core: {error:#}");
        }
    }
}

/// Restricts all threads of a process to these cores.
fn place(process: u32, cores: &CpuSet) -> Result<()> {
    let threads = format!("/proc/{process}/task");
    for entry in fs::read_dir(&threads).context(threads)? {
        let thread = entry?.file_name();
        let thread = thread.to_str().and_then(|name| name.parse().ok());
        let thread = Pid::from_raw(thread.context("a thread without a number")?);
        match sched_setaffinity(thread, cores) {
            // The thread has ended in the meantime.
            Err(Errno::SRCH) => {}
            placed => placed.context("cannot choose a core")?,
        }
    }
    Ok(())
}
