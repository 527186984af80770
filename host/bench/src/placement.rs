//! On which cores client and server run.
//!
//! With one connection only one of the two has something to do at a time. Where the kernel puts them
//! then decides more than anything else: to wake somebody on a core that sleeps takes several times
//! what a small message does. On one core they take turns, whoever the server is.

use anyhow::{Context, Result};
use rustix::io::Errno;
use rustix::thread::{CpuSet, Pid, sched_getaffinity, sched_setaffinity};
use std::fs;

/// The client, for as long as this is kept, and a server, for good, are on the same core.
pub struct OnOneCore {
    before: CpuSet,
}

impl OnOneCore {
    /// To be called by a thread that may be on all cores. Threads that these start later stay there, too.
    pub fn with(server: u32) -> Result<Self> {
        let before = sched_getaffinity(None).context("the cores of the client")?;
        let last = (0..CpuSet::MAX_CPU).rev().find(|&core| before.is_set(core));
        let mut one = CpuSet::new();
        one.set(last.context("no core")?);
        place(server, &one)?;
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

/// Have all threads of a process on these cores.
fn place(process: u32, cores: &CpuSet) -> Result<()> {
    let threads = format!("/proc/{process}/task");
    for entry in fs::read_dir(&threads).context(threads)? {
        let thread = entry?.file_name();
        let thread = thread.to_str().and_then(|name| name.parse().ok());
        let thread = Pid::from_raw(thread.context("a thread without a number")?);
        match sched_setaffinity(thread, cores) {
            // It has ended meanwhile.
            Err(Errno::SRCH) => {}
            placed => placed.context("cannot choose a core")?,
        }
    }
    Ok(())
}
