//! How many memory mappings processes have. With thousands of instances, counting them takes tens of milliseconds: it is
//! done by another thread, at most a hundredth of the time, and whoever asks waits for it no longer than a moment.

use std::collections::HashMap;
use std::fs::File;
use std::io::{ErrorKind, Read};
use std::sync::mpsc::{self, Receiver};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

/// How long to wait for a count. After that, the last one counts.
const PATIENCE: Duration = Duration::from_millis(2);

/// For how many times the duration of the last count it is as good as a new one.
const REST: u32 = 100;

#[derive(Default)]
pub struct Mappings(Arc<Mutex<Counted>>);

#[derive(Default)]
struct Counted {
    /// By the ID of the process.
    counts: HashMap<u32, u64>,
    /// When to count again.
    next: Option<Instant>,
    is_counting: bool,
}

impl Mappings {
    /// Returns how many mappings each of these processes has, or has had a short time ago.
    pub fn of(&self, processes: &[u32]) -> Vec<Option<u64>> {
        if let Some(counting) = self.begin(processes) {
            // Another thread tells nothing, but that it is done.
            let _ = counting.recv_timeout(PATIENCE);
        }
        let counted = lock(&self.0);
        let counts = processes.iter().map(|id| counted.counts.get(id).copied());
        counts.collect()
    }

    /// Begins to count, if it is time. What is returned ends when all are counted.
    fn begin(&self, processes: &[u32]) -> Option<Receiver<()>> {
        let mut counted = lock(&self.0);
        let is_early = counted.next.is_some_and(|next| Instant::now() < next);
        if is_early || counted.is_counting {
            return None;
        }
        let (done, counting) = mpsc::channel();
        let all = Arc::clone(&self.0);
        let processes = processes.to_vec();
        let started = thread::Builder::new()
            .name("evconn-mappings".to_owned())
            .spawn(move || {
                count_all(&all, &processes);
                drop(done);
            });
        // Without a thread, the last counts have to do.
        counted.is_counting = started.is_ok();
        started.ok().map(|_| counting)
    }
}

fn count_all(all: &Mutex<Counted>, processes: &[u32]) {
    let begun = Instant::now();
    let counts = processes
        .iter()
        .filter_map(|id| Some((*id, lines(&format!("/proc/{id}/maps"))?)))
        .collect();
    *lock(all) = Counted {
        counts,
        next: Some(Instant::now() + begun.elapsed() * REST),
        is_counting: false,
    };
}

fn lock(counted: &Mutex<Counted>) -> MutexGuard<'_, Counted> {
    // It is replaced as a whole.
    counted.lock().unwrap_or_else(PoisonError::into_inner)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_counted_again_after_a_rest() {
        let mappings = Mappings::default();
        let [this, gone] = [std::process::id(), u32::MAX];
        let first = mappings
            .begin(&[this, gone])
            .expect("it has not been counted");
        // It ends when all are counted.
        first.recv().expect_err("nothing is told");
        assert!(mappings.begin(&[this]).is_none(), "it rests");
        let counts = mappings.of(&[this, gone]);
        assert!(counts[0].is_some_and(|count| count > 10), "{counts:?}");
        assert_eq!(counts[1], None);
        lock(&mappings.0).next = None;
        assert!(mappings.begin(&[this]).is_some());
    }
}
