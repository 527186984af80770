//! How many descriptors this process may open. Only for a process that runs a single test: see
//! [`child`](super::child) and [`alone`](super::alone).

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use std::collections::BTreeSet;

/// The descriptors that are open.
pub fn open() -> BTreeSet<u64> {
    let entries = std::fs::read_dir("/proc/self/fd").expect("the list of descriptors");
    let paths = entries.map(|entry| entry.expect("an entry").path());
    let stays_open = |path: &std::path::PathBuf| match std::fs::read_link(path) {
        // The list itself is open while it is read.
        Ok(target) => !(target.starts_with("/proc") && target.ends_with("fd")),
        // It was closed in between.
        Err(_) => false,
    };
    let numbers = paths.filter(stays_open).map(|path| {
        let name = path.file_name().and_then(|name| name.to_str());
        let number = name.and_then(|name| name.parse().ok());
        number.expect("a descriptor's number")
    });
    numbers.collect()
}

/// Returns whether this process may open that many.
pub fn has_room_for(count: u64) -> bool {
    let limit = getrlimit(Resource::Nofile).current;
    limit.is_none_or(|limit| limit >= count)
}

/// Lets `count` more descriptors be opened, and no more.
pub fn leave_room_for(count: usize) {
    let open = open();
    // The kernel gives out the lowest number that is free, and the limit is a bound for the number.
    let mut free = (0..).filter(|number| !open.contains(number));
    set(free.nth(count).expect("there is no end of numbers"));
}

/// Lets `count` descriptors be open, with those that are.
pub fn set(count: u64) {
    let limit = Rlimit {
        current: Some(count),
        ..getrlimit(Resource::Nofile)
    };
    setrlimit(Resource::Nofile, limit).expect("a lower limit");
}

/// While this exists, the process can open nothing: EMFILE. Open descriptors stay open.
pub struct NoMoreDescriptors(Rlimit);

impl NoMoreDescriptors {
    pub fn new() -> Self {
        let before = getrlimit(Resource::Nofile);
        leave_room_for(0);
        Self(before)
    }
}

impl Drop for NoMoreDescriptors {
    fn drop(&mut self) {
        setrlimit(Resource::Nofile, self.0).expect("the limit as it was");
    }
}
