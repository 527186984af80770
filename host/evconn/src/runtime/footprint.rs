//! What the instances of a process take of its memory mappings and of its addresses, which the system limits. It depends
//! on the guest and on the allocator: so it is measured, when there are 16 instances for the first time, and whenever
//! there are four times as many.

use super::sys::Limited;
use std::io;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// What was measured. The instances that have ended count, too: the pool keeps what they had.
pub(super) struct Footprint {
    /// The most instances that there were at a time.
    most: AtomicUsize,
    /// With how many instances it is measured next.
    next: AtomicUsize,
    process: Mutex<Process>,
}

/// How many instances there are at the first measurement: what else the process maps when it begins to serve is not
/// counted with them.
const FIRST: usize = 16;
const FACTOR: usize = 4;

/// One part in so many of what is limited is left for what else the process maps.
const LEFT: u64 = 32;

/// What is limited. `None` is not, or nobody knows.
struct Process {
    mappings: Option<Limited>,
    addresses: Option<Limited>,
    first: Option<Sample>,
}

/// What the process had at a time.
#[derive(Clone, Copy)]
struct Sample {
    instances: usize,
    mappings: Option<Taken>,
    addresses: Option<Taken>,
}

#[derive(Clone, Copy)]
struct Taken {
    taken: u64,
    limit: u64,
}

/// How many instances there can be.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Maximum {
    pub instances: usize,
    pub reason: String,
}

impl Footprint {
    pub fn new() -> Self {
        Self {
            most: AtomicUsize::new(0),
            next: AtomicUsize::new(FIRST),
            process: Mutex::new(Process {
                mappings: Limited::mappings().map_err(log).ok(),
                addresses: Limited::addresses().map_err(log).ok().flatten(),
                first: None,
            }),
        }
    }

    /// Notes that there are so many instances.
    pub fn note(&self, instances: usize) {
        self.most.fetch_max(instances, Ordering::Relaxed);
    }

    /// Returns, to one caller, whether there are so many that what they take is to be measured.
    pub fn is_due(&self) -> bool {
        let next = self.next.load(Ordering::Relaxed);
        let after = next.saturating_mul(FACTOR);
        self.most.load(Ordering::Relaxed) >= next
            && self
                .next
                .compare_exchange(next, after, Ordering::Relaxed, Ordering::Relaxed)
                .is_ok()
    }

    /// Measures, which takes some milliseconds. Returns how many instances there can be, if that is known and limited.
    pub fn measure(&self) -> Option<Maximum> {
        let mut process = self.process.lock().unwrap_or_else(PoisonError::into_inner);
        let sample = Sample {
            mappings: process.mappings.as_ref().and_then(Taken::of),
            addresses: process.addresses.as_ref().and_then(Taken::of),
            // More may have been made in the meantime. The next measurement is more exact.
            instances: self.most.load(Ordering::Relaxed),
        };
        process.add(sample)
    }
}

fn log(error: io::Error) {
    tracing::debug!("what instances take cannot be measured: {error}");
}

impl Process {
    fn add(&mut self, sample: Sample) -> Option<Maximum> {
        sample.maximum(*self.first.get_or_insert(sample))
    }
}

impl Taken {
    fn of(limited: &Limited) -> Option<Self> {
        Some(Self {
            taken: limited.taken().map_err(log).ok()?,
            limit: limited.limit(),
        })
    }
}

impl Sample {
    /// Returns how many instances there can be, from what these take and an earlier sample's.
    fn maximum(self, earlier: Self) -> Option<Maximum> {
        let more = self.instances.checked_sub(earlier.instances)?;
        let maximum = |now: Option<Taken>, then: Option<Taken>| {
            let (now, then) = (now?, then?);
            let each = now
                .taken
                .saturating_sub(then.taken)
                .div_ceil(more.max(1) as u64);
            let usable = now.limit - now.limit / LEFT;
            let left = usable.saturating_sub(now.taken).checked_div(each)?;
            Some((
                self.instances.saturating_add(left as usize),
                each,
                now.limit,
            ))
        };
        let mappings = maximum(self.mappings, earlier.mappings).map(|(instances, each, limit)| Maximum {
            instances,
            reason: format!(
                "each takes {each} memory mappings, of {limit} that a process may have (sysctl vm.max_map_count)"
            ),
        });
        let addresses = maximum(self.addresses, earlier.addresses).map(|(instances, each, limit)| Maximum {
            instances,
            reason: format!(
                "each takes {} KiB of address space, of {} MiB that a process may have (ulimit -v)",
                each >> 10,
                limit >> 20
            ),
        });
        mappings
            .into_iter()
            .chain(addresses)
            .min_by_key(|maximum| maximum.instances)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample(instances: usize, mappings: u64) -> Sample {
        Sample {
            instances,
            mappings: Some(Taken {
                taken: mappings,
                limit: 65_530,
            }),
            addresses: None,
        }
    }

    fn nothing() -> Process {
        Process {
            mappings: None,
            addresses: None,
            first: None,
        }
    }

    #[test]
    fn what_instances_take_says_how_many_there_can_be() {
        let mut process = nothing();
        assert_eq!(process.add(sample(16, 2_000)), None);
        let maximum = process
            .add(sample(64, 2_000 + 48 * 10))
            .expect("it is limited");
        assert_eq!(maximum.instances, 64 + (65_530 - 2_047 - 2_480) / 10);
        assert!(
            maximum.reason.contains("10 memory mappings, of 65530"),
            "{maximum:?}"
        );
    }

    #[test]
    fn the_scarcest_counts() {
        let with = |instances: usize, taken| Sample {
            addresses: Some(Taken {
                taken,
                limit: 1 << 30,
            }),
            ..sample(instances, 4 * instances as u64)
        };
        let mut process = nothing();
        process.add(with(16, 16 << 20));
        let maximum = process.add(with(64, 64 << 20)).expect("it is limited");
        assert_eq!(maximum.instances, 1_024 - 32);
        assert!(
            maximum
                .reason
                .contains("1024 KiB of address space, of 1024 MiB"),
            "{maximum:?}"
        );
    }

    #[test]
    fn who_takes_nothing_is_not_limited() {
        let mut process = nothing();
        process.add(sample(16, 2_000));
        assert_eq!(process.add(sample(64, 2_000)), None);
        assert_eq!(process.add(sample(64, 1_000)), None);
    }

    #[test]
    fn it_is_measured_at_each_power() {
        let footprint = Footprint::new();
        let due = |count: &usize| {
            footprint.note(*count);
            footprint.is_due()
        };
        let due: Vec<_> = (1..=1_000).filter(due).collect();
        assert_eq!(due, [16, 64, 256]);
        footprint.note(100);
        assert!(!footprint.is_due());
    }
}
