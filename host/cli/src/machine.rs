//! How many connections this machine supports: descriptors, memory mappings and address space.
//!
//! This is an estimate, made before anything is accepted. What instances really take is measured when there are some.

use crate::sys::resources;
use evconn::Host;

/// What a server is going to need.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Needs {
    /// Maximum number of open connections.
    pub max_connections: usize,
    /// Maximum number of instances, if connections share them.
    pub max_instances: Option<usize>,
    /// Descriptors of a connection: 1, or 2 if its service can open others. More of them come from what the
    /// connections leave, if they leave any.
    pub descriptors_each: usize,
    /// Memories of a connection's instance: 1, or more if it is composed of several components.
    pub memories_each: usize,
    /// Number of listen sources.
    pub listeners: usize,
    /// Number of processes that serve: each has limits of its own.
    pub processes: usize,
    /// Number of worker threads of each process, each with an event loop of its own.
    pub workers: usize,
}

/// What this machine supports, in all processes together.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fit {
    /// Maximum number of open connections: as many as needed, or fewer, but at least one.
    pub max_connections: usize,
    /// Why there are fewer: a short text for each limit, with how to raise it.
    pub reasons: Vec<String>,
}

/// Returns how many connections the limits of this process and its kernel allow.
pub fn fit(needs: Needs) -> Fit {
    Machine::this().fit(needs)
}

/// The limits; `None` is no limit.
#[derive(Clone, Copy, Debug, Default)]
struct Machine {
    descriptors: Option<u64>,
    address_space: Option<u64>,
    mappings: Option<u64>,
    /// The largest contiguous reservation of address space.
    contiguous: Option<u64>,
}

/// Descriptors that no connection uses: standard streams, event loops of runtimes, files that are reloaded,
/// granted directories.
const DESCRIPTORS_RESERVED: u64 = 40;
/// Descriptors of a source: two sockets, and for each a connection that was accepted ahead.
const DESCRIPTORS_OF_SOURCE: u64 = 4;
/// Descriptors of a worker's event loop: two epoll instances, one to wake it, one for signals.
const DESCRIPTORS_OF_WORKER: u64 = 4;

/// Mappings of a pooled instance: for each memory its initialized part, its zeroed part, the part beyond its end
/// and the part that stays resident; and a stack with a guard.
const MAPPINGS_OF_MEMORY: u64 = 4;
const MAPPINGS_OF_STACK: u64 = 2;
const MAPPINGS_RESERVED: u64 = 1_000;

/// An instance outside of a pool has a stack of 1 MiB, and its memory with what it may grow by.
const ADDRESS_SPACE_EACH: u64 = 8 << 20;
/// What the process reserves besides: mimalloc, with that feature, a GiB at a time.
const ADDRESS_SPACE_RESERVED: u64 = 3 << 29;

/// What is contiguous of a process's 128 TiB: on Linux two thirds are below its program, and mimalloc's first arena,
/// with that feature, is somewhere in the lowest 6 TiB. A pool that does not fit cannot be used, and connections are slower.
const CONTIGUOUS: u64 = 79 << 40;

impl Machine {
    fn this() -> Self {
        Self {
            descriptors: resources::descriptors(),
            address_space: resources::address_space(),
            mappings: resources::mappings(),
            contiguous: Some(CONTIGUOUS),
        }
    }

    fn fit(&self, needs: Needs) -> Fit {
        let wanted = needs.max_connections;
        let instances = needs.max_instances.unwrap_or(usize::MAX).min(wanted);
        let bounds = [
            (wanted, self.by_descriptors(needs)),
            (instances, self.by_mappings(needs)),
            (instances, self.by_address_space()),
            (instances, self.by_pool()),
        ];
        let processes = needs.processes.max(1) as u64;
        let short: Vec<_> = bounds
            .into_iter()
            .filter_map(|(wanted, bound)| {
                let (count, reason) = bound?;
                let count = count.saturating_mul(processes);
                (count < wanted as u64).then_some((count, reason))
            })
            .collect();
        let least = short.iter().map(|(count, _)| *count as usize).min();
        Fit {
            max_connections: least.map_or(wanted, |count| count.max(1)),
            reasons: short.into_iter().map(|(_, reason)| reason).collect(),
        }
    }

    fn by_descriptors(&self, needs: Needs) -> Option<(u64, String)> {
        let limit = self.descriptors?;
        let reserved = DESCRIPTORS_RESERVED
            + DESCRIPTORS_OF_SOURCE * needs.listeners as u64
            + DESCRIPTORS_OF_WORKER * needs.workers as u64;
        let count = limit.saturating_sub(reserved) / (needs.descriptors_each as u64).max(1);
        Some((count, format!("limit of {limit} open files (ulimit -n)")))
    }

    fn by_mappings(&self, needs: Needs) -> Option<(u64, String)> {
        let limit = self.mappings?;
        let each = MAPPINGS_OF_STACK + MAPPINGS_OF_MEMORY * (needs.memories_each as u64).max(1);
        let count = limit.saturating_sub(MAPPINGS_RESERVED) / each;
        let reason = format!(
            "limit of {limit} memory mappings, of which a connection uses {each} (sysctl vm.max_map_count)"
        );
        Some((count, reason))
    }

    fn by_address_space(&self) -> Option<(u64, String)> {
        let limit = self.address_space?;
        let count = limit.saturating_sub(ADDRESS_SPACE_RESERVED) / ADDRESS_SPACE_EACH;
        let mib = limit >> 20;
        Some((
            count,
            format!("limit of {mib} MiB of address space (ulimit -v)"),
        ))
    }

    fn by_pool(&self) -> Option<(u64, String)> {
        let limit = self.contiguous?;
        let (tib, gib) = (limit >> 40, Host::ADDRESS_SPACE_PER_INSTANCE >> 30);
        let reason = format!(
            "a process has {tib} TiB of contiguous address space, and an instance reserves {gib} GiB"
        );
        Some((limit / Host::ADDRESS_SPACE_PER_INSTANCE, reason))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEEDS: Needs = Needs {
        max_connections: 50_000,
        max_instances: None,
        descriptors_each: 1,
        memories_each: 1,
        listeners: 1,
        processes: 1,
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
        assert_eq!(fit.reasons, ["limit of 10240 open files (ulimit -n)"]);
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
    fn the_usual_limit_of_mappings_allows_ten_thousand() {
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
            contiguous: Some(CONTIGUOUS),
            ..Machine::default()
        };
        let fit = machine.fit(NEEDS);
        assert_eq!(fit.max_connections, 10_033);
        assert!(fit.reasons[0].contains("79 TiB"), "{fit:?}");
    }

    #[test]
    fn connections_that_share_instances_require_descriptors_only() {
        let machine = Machine {
            descriptors: Some(40_052),
            mappings: Some(65_530),
            contiguous: Some(CONTIGUOUS),
            ..Machine::default()
        };
        let shared = |max_instances| Needs {
            max_instances: Some(max_instances),
            ..NEEDS
        };
        assert_eq!(machine.fit(shared(1)).max_connections, 40_000);
        assert_eq!(machine.fit(shared(20_000)).max_connections, 10_033);
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
        assert!(
            fit.reasons[2].contains("4096 MiB of address space (ulimit -v)"),
            "{fit:?}"
        );
    }

    #[test]
    fn each_process_has_limits_of_its_own() {
        let machine = Machine {
            mappings: Some(65_530),
            ..Machine::default()
        };
        let four = Needs {
            processes: 4,
            ..NEEDS
        };
        assert_eq!(machine.fit(four).max_connections, 4 * 10_755);
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
