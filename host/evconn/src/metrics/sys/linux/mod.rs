//! On Linux, from `/proc`.

use super::Usage;
use std::fs::{self, File};
use std::io::{ErrorKind, Read};

/// Returns what a process uses, or this one. What cannot be read is not known: the process may be gone.
pub(in crate::metrics) fn usage(process: Option<u32>) -> Usage {
    let id = process.map_or_else(|| "self".to_owned(), |id| id.to_string());
    let path = |file| format!("/proc/{id}/{file}");
    Usage {
        descriptors: fs::read_dir(path("fd")).ok().map(|fd| fd.count() as u64),
        mappings: lines(&path("maps")),
        resident_bytes: fs::read_to_string(path("status"))
            .ok()
            .and_then(|status| resident_bytes(&status)),
    }
}

/// Returns the number of lines of a file, which may be some megabytes.
fn lines(path: &str) -> Option<u64> {
    let mut file = File::open(path).ok()?;
    let mut buffer = [0; 16 << 10];
    let mut lines = 0;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Some(lines),
            Ok(read) => {
                lines += buffer[..read].iter().filter(|byte| **byte == b'\n').count() as u64
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(_) => return None,
        }
    }
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
    fn this_process_is_known_by_itself_and_by_its_number() {
        for process in [None, Some(std::process::id())] {
            let usage = usage(process);
            assert!(
                usage.descriptors.is_some_and(|count| count >= 3),
                "{usage:?}"
            );
            assert!(usage.mappings.is_some_and(|count| count > 10), "{usage:?}");
            assert!(
                usage.resident_bytes.is_some_and(|bytes| bytes > 1 << 20),
                "{usage:?}"
            );
        }
    }

    #[test]
    fn nothing_is_known_of_a_process_that_is_gone() {
        // Higher than any process has.
        assert_eq!(usage(Some(u32::MAX)), Usage::default());
    }
}
