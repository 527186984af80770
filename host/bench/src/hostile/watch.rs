//! What the processes of a server have at most.

use crate::family;
use anyhow::{Context, Result};
use std::fs;
use std::time::{Duration, Instant};

/// How often to look.
const PERIOD: Duration = Duration::from_millis(200);

/// The most that was seen.
#[derive(Clone, Copy, Debug, Default)]
pub struct Most {
    /// Descriptors of one process.
    pub descriptors: usize,
    /// Resident memory of all processes, in MiB. A page that several processes map counts for each.
    pub memory_mib: f64,
}

impl Most {
    pub fn of_both(self, other: Self) -> Self {
        Self {
            descriptors: self.descriptors.max(other.descriptors),
            memory_mib: self.memory_mib.max(other.memory_mib),
        }
    }

    /// Watches a server for this time.
    pub fn watch(&mut self, server: u32, duration: Duration) -> Result<()> {
        let end = Instant::now() + duration;
        loop {
            self.look(server)?;
            let left = end.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            std::thread::sleep(left.min(PERIOD));
        }
    }

    fn look(&mut self, server: u32) -> Result<()> {
        let mut memory = 0.0;
        for process in family::of(server)? {
            // A process that has just ended has neither.
            self.descriptors = self.descriptors.max(descriptors(process));
            memory += memory_mib(process)?;
        }
        self.memory_mib = self.memory_mib.max(memory);
        Ok(())
    }
}

fn descriptors(process: u32) -> usize {
    fs::read_dir(format!("/proc/{process}/fd")).map_or(0, Iterator::count)
}

/// By a file that is cheap to read: others would hold up the server.
fn memory_mib(process: u32) -> Result<f64> {
    let text = fs::read_to_string(format!("/proc/{process}/statm")).unwrap_or_default();
    let Some(pages) = text.split(' ').nth(1) else {
        return Ok(0.0);
    };
    let pages: f64 = pages.parse().with_context(|| text.clone())?;
    Ok(pages * rustix::param::page_size() as f64 / f64::from(1 << 20))
}
