//! What this machine has room for: descriptors, mappings and address space for connections.
//!
//! Where it ends: it is known before anything is made. What is too much all the same fails for the one
//! connection that it is too much for.

use evconn::Host;
use std::io;

/// What a server is going to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// The most connections at a time.
    pub max_connections: usize,
    /// How many descriptors each of them may take: 1, or 2 if its service connects to others.
    pub descriptors_each: usize,
    /// How many memories each of their instances has: 1, or more if it is composed of several components.
    pub memories_each: usize,
    /// How many sources it listens on.
    pub listeners: usize,
    /// How many threads serve connections, each with an event loop of its own.
    pub workers: usize,
}

/// What there is room for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// The most connections at a time: as many as are needed, or fewer, but at least one.
    pub max_connections: usize,
    /// Why they are fewer: what there is too little of, and how to get more. One short text each.
    pub reasons: Vec<String>,
}

/// Raise this process's limit of open descriptors as far as it may do so itself: on Unix to the hard
/// limit. Elsewhere there is none.
///
/// # Errors
/// What the operating system says; none is expected.
pub fn raise_descriptor_limit() -> io::Result<()> {
    #[cfg(unix)]
    {
        use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit {
            current: limit.maximum,
            ..limit
        };
        if raised != limit {
            setrlimit(Resource::Nofile, raised)?;
        }
    }
    Ok(())
}

/// How many connections there is room for, by the limits that this process has now, and the kernel.
pub fn fit(needs: Needs) -> Fit {
    Machine::this().fit(needs)
}

/// What is counted; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    descriptors: Option<u64>,
    address_space: Option<u64>,
    mappings: Option<u64>,
    /// What can be reserved at a time.
    in_one_piece: Option<u64>,
}

/// Descriptors of the process that are for no connection: its standard streams, the event loops of its
/// runtimes, what its instances begin with, files that are read again, directories that are granted.
const DESCRIPTORS_RESERVED: u64 = 40;
/// Those of a source: two sockets, and a connection of each that was accepted ahead.
const DESCRIPTORS_OF_SOURCE: u64 = 4;
/// Those of a worker's event loop: two for what is ready, one to be woken by, one for signals.
const DESCRIPTORS_OF_WORKER: u64 = 4;

/// An instance in the pool splits it into mappings: for each memory what is initialized of it, the rest of
/// it, what is beyond its end, and what is kept of it; besides, its stack with a guard.
const MAPPINGS_OF_MEMORY: u64 = 4;
const MAPPINGS_OF_STACK: u64 = 2;
const MAPPINGS_RESERVED: u64 = 1_000;

/// A simple instance outside of a pool takes a stack of 1 MiB, its memory, and what it may grow by.
const ADDRESS_SPACE_EACH: u64 = 8 << 20;
/// The allocator alone reserves a GiB at a time.
const ADDRESS_SPACE_RESERVED: u64 = 3 << 29;

/// What is left of the 128 TiB of a process: two thirds are below its program on Linux, and the allocator has
/// its first arena somewhere in the lowest 6 TiB. Where all memories of the pool do not fit into it, there is
/// no pool, and each connection is slower.
const IN_ONE_PIECE: u64 = 79 << 40;

impl Machine {
    fn this() -> Self {
        Self {
            descriptors: descriptors(),
            address_space: address_space(),
            mappings: mappings(),
            in_one_piece: Some(IN_ONE_PIECE),
        }
    }

    fn fit(&self, needs: Needs) -> Fit {
        let wanted = needs.max_connections;
        let bounds = [
            self.by_descriptors(needs),
            self.by_mappings(needs),
            self.by_address_space(),
            self.by_pool(),
        ];
        let short: Vec<_> = bounds
            .into_iter()
            .flatten()
            .filter(|(room, _)| *room < wanted as u64)
            .collect();
        let room = short.iter().map(|(room, _)| *room as usize).min();
        Fit {
            max_connections: room.map_or(wanted, |room| room.max(1)),
            reasons: short.into_iter().map(|(_, reason)| reason).collect(),
        }
    }

    fn by_descriptors(&self, needs: Needs) -> Option<(u64, String)> {
        let limit = self.descriptors?;
        let reserved = DESCRIPTORS_RESERVED
            + DESCRIPTORS_OF_SOURCE * needs.listeners as u64
            + DESCRIPTORS_OF_WORKER * needs.workers as u64;
        let room = limit.saturating_sub(reserved) / (needs.descriptors_each as u64).max(1);
        Some((
            room,
            format!("at most {limit} descriptors are allowed (ulimit -n)"),
        ))
    }

    fn by_mappings(&self, needs: Needs) -> Option<(u64, String)> {
        let limit = self.mappings?;
        let each = MAPPINGS_OF_STACK + MAPPINGS_OF_MEMORY * (needs.memories_each as u64).max(1);
        let room = limit.saturating_sub(MAPPINGS_RESERVED) / each;
        let reason = format!(
            "a process has at most {limit} mappings, and a connection takes {each} (sysctl \
             vm.max_map_count)"
        );
        Some((room, reason))
    }

    fn by_address_space(&self) -> Option<(u64, String)> {
        let limit = self.address_space?;
        let room = limit.saturating_sub(ADDRESS_SPACE_RESERVED) / ADDRESS_SPACE_EACH;
        let mib = limit >> 20;
        Some((
            room,
            format!("the address space is limited to {mib} MiB (ulimit -v)"),
        ))
    }

    fn by_pool(&self) -> Option<(u64, String)> {
        let limit = self.in_one_piece?;
        let (tib, gib) = (limit >> 40, Host::ADDRESS_SPACE_PER_INSTANCE >> 30);
        let reason = format!(
            "an instance reserves {gib} GiB of addresses, of which a process has {tib} TiB in one piece"
        );
        Some((limit / Host::ADDRESS_SPACE_PER_INSTANCE, reason))
    }
}

fn descriptors() -> Option<u64> {
    #[cfg(unix)]
    return rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    #[cfg(not(unix))]
    None
}

/// Not every Unix has this limit.
fn address_space() -> Option<u64> {
    #[cfg(target_os = "linux")]
    return rustix::process::getrlimit(rustix::process::Resource::As).current;
    #[cfg(not(target_os = "linux"))]
    None
}

/// Linux alone counts them.
fn mappings() -> Option<u64> {
    let text = std::fs::read_to_string("/proc/sys/vm/max_map_count").ok()?;
    text.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs {
        max_connections: 50_000,
        descriptors_each: 1,
        memories_each: 1,
        listeners: 1,
        workers: 2,
    };

    #[test]
    fn without_limits_everything_fits() {
        let fit = Machine::default().fit(NEEDS);
        assert_eq!((fit.max_connections, fit.reasons), (50_000, vec![]));
    }

    #[test]
    fn descriptors_are_one_or_two_for_each_connection() {
        let machine = Machine {
            descriptors: Some(10_240),
            ..Machine::default()
        };
        let fit = machine.fit(NEEDS);
        assert_eq!(fit.max_connections, 10_188);
        assert_eq!(
            fit.reasons,
            ["at most 10240 descriptors are allowed (ulimit -n)"]
        );
        let connecting = Needs {
            descriptors_each: 2,
            ..NEEDS
        };
        assert_eq!(machine.fit(connecting).max_connections, 5_094);
        let many_workers = Needs {
            workers: 100,
            ..NEEDS
        };
        assert_eq!(machine.fit(many_workers).max_connections, 9_796);
        let few = Needs {
            max_connections: 10_188,
            ..NEEDS
        };
        assert_eq!(machine.fit(few).reasons, [""; 0]);
    }

    #[test]
    fn the_usual_limit_of_mappings_leaves_room_for_ten_thousand() {
        let machine = Machine {
            mappings: Some(65_530),
            ..Machine::default()
        };
        let fit = machine.fit(NEEDS);
        assert_eq!(fit.max_connections, 10_755);
        assert!(fit.reasons[0].contains("vm.max_map_count"), "{fit:?}");
        let composed = Needs {
            memories_each: 9,
            ..NEEDS
        };
        assert_eq!(machine.fit(composed).max_connections, 1_698);
    }

    #[test]
    fn the_pool_has_to_fit_into_the_address_space() {
        let machine = Machine {
            in_one_piece: Some(IN_ONE_PIECE),
            ..Machine::default()
        };
        let fit = machine.fit(NEEDS);
        assert_eq!(fit.max_connections, 10_033);
        assert!(fit.reasons[0].contains("79 TiB"), "{fit:?}");
    }

    #[test]
    fn all_that_is_short_is_named_and_the_least_counts() {
        let machine = Machine {
            descriptors: Some(1_024),
            mappings: Some(65_530),
            address_space: Some(4 << 30),
            ..Machine::default()
        };
        let fit = machine.fit(NEEDS);
        assert_eq!(fit.max_connections, 320);
        assert_eq!(fit.reasons.len(), 3);
        assert!(fit.reasons[2].contains("4096 MiB (ulimit -v)"), "{fit:?}");
    }

    #[test]
    fn there_is_always_one() {
        let machine = Machine {
            descriptors: Some(20),
            ..Machine::default()
        };
        assert_eq!(machine.fit(NEEDS).max_connections, 1);
    }
}
