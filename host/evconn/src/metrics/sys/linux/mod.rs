//! On Linux, from `/proc`.

mod mappings;

use super::Usage;
use crate::metrics::source::Process;
use mappings::Mappings;
use std::fs;

/// What processes use.
#[derive(Default)]
pub(in crate::metrics) struct Usages {
    mappings: Mappings,
}

impl Usages {
    /// Returns what each of these processes uses. What cannot be read is not known: the process may be gone.
    pub fn read(&self, processes: &[Process]) -> Vec<Usage> {
        let ids: Vec<_> = processes.iter().map(id).collect();
        let mappings = self.mappings.of(&ids);
        let with_mappings = ids.into_iter().zip(mappings);
        with_mappings
            .map(|(id, mappings)| Usage {
                mappings,
                ..usage(id)
            })
            .collect()
    }
}

fn id(process: &Process) -> u32 {
    match process {
        Process::This => std::process::id(),
        Process::Member { id, .. } => *id,
    }
}

/// Returns what takes little time to find out.
fn usage(process: u32) -> Usage {
    let read = |file| fs::read_to_string(format!("/proc/{process}/{file}")).ok();
    Usage {
        cpu_seconds: read("stat").and_then(|stat| cpu_seconds(&stat)),
        descriptors: descriptors(process),
        mappings: None,
        resident_bytes: read("status").and_then(|status| resident_bytes(&status)),
    }
}

/// Returns how many descriptors are open: since Linux 6.2, the kernel tells it as the size of their directory.
fn descriptors(process: u32) -> Option<u64> {
    let path = format!("/proc/{process}/fd");
    match fs::metadata(&path).ok()?.len() {
        0 => fs::read_dir(&path).ok().map(|fd| fd.count() as u64),
        count => Some(count),
    }
}

/// The user and system time, which follow the 13th field. The second one, a name, may contain anything.
fn cpu_seconds(stat: &str) -> Option<f64> {
    let (_, after_name) = stat.rsplit_once(')')?;
    let mut fields = after_name.split_whitespace().skip(11);
    let mut ticks = || fields.next()?.parse::<u64>().ok();
    let used = ticks()? + ticks()?;
    Some(used as f64 / rustix::param::clock_ticks_per_second() as f64)
}

fn resident_bytes(status: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmRSS:"))?;
    let kibibytes: u64 = line.split_whitespace().next()?.parse().ok()?;
    Some(kibibytes << 10)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_process_is_known() {
        let usage = usage(std::process::id());
        assert!(
            usage.descriptors.is_some_and(|count| count >= 3),
            "{usage:?}"
        );
        assert!(
            usage.resident_bytes.is_some_and(|bytes| bytes > 1 << 20),
            "{usage:?}"
        );
        assert!(
            usage.cpu_seconds.is_some_and(|time| time >= 0.0),
            "{usage:?}"
        );
    }

    #[test]
    fn a_name_with_blanks_and_brackets_is_skipped() {
        let stat = "7 (a) 1 (b)) S 1 7 7 0 -1 4194560 100 0 0 0 250 150 0 0 20 0 1 0 5";
        let ticks = rustix::param::clock_ticks_per_second() as f64;
        assert_eq!(cpu_seconds(stat), Some(400.0 / ticks));
        assert_eq!(cpu_seconds("7 (a) S 1"), None);
    }

    #[test]
    fn nothing_is_known_of_a_process_that_is_gone() {
        // Higher than any process has.
        assert_eq!(usage(u32::MAX), Usage::default());
    }
}
