//! The works for which this machine has the capacity.

use super::{CONNECTORS, Work, open};
use crate::kit::Kit;
use std::io;

/// Mappings into which a pooled instance with one memory splits the address space: those of the memory,
/// and those of the stack.
const MAPPINGS_EACH: u64 = 6;

/// Descriptors and mappings of a process that do not belong to connections.
const DESCRIPTORS_RESERVED: u64 = 60;
const MAPPINGS_RESERVED: u64 = 1_000;

/// Raises this process's limit of open descriptors, which servers inherit, to the hard limit.
pub fn raise_descriptor_limit() -> io::Result<()> {
    use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let raised = Rlimit {
        current: limit.maximum,
        ..limit
    };
    Ok(setrlimit(Resource::Nofile, raised)?)
}

/// Returns the most connections that a server can have here under a work, and what limits them.
fn most(work: Work) -> Option<(u64, &'static str)> {
    let descriptors = rustix::process::getrlimit(rustix::process::Resource::Nofile).current;
    let mappings = std::fs::read_to_string("/proc/sys/vm/max_map_count");
    let mappings: Option<u64> = mappings.ok().and_then(|text| text.trim().parse().ok());
    let by_descriptors = descriptors.map(|limit| {
        let connections = limit.saturating_sub(DESCRIPTORS_RESERVED);
        (connections, "the limit of descriptors (ulimit -n)")
    });
    let by_mappings = mappings.map(|limit| {
        let connections = limit.saturating_sub(MAPPINGS_RESERVED) / MAPPINGS_EACH;
        (
            connections,
            "the limit of mappings (sysctl vm.max_map_count)",
        )
    });
    let by_mappings = by_mappings.filter(|_| work.is_with_instances());
    by_descriptors.into_iter().chain(by_mappings).min()
}

/// Returns the works for which there is the service, and client and servers have the capacity, with fewer idle connections if
/// necessary, and notes about the others.
pub fn that_fit(works: &[Work], kit: &Kit) -> (Vec<Work>, Vec<String>) {
    let mut fit: Vec<Work> = Vec::new();
    let mut notes = Vec::new();
    for &work in works {
        let service = work.language().map(|language| kit.service(language));
        if let Some(Err(missing)) = service {
            notes.push(format!("{}: left out: {missing}", work.name()));
            continue;
        }
        let fitted = match most(work) {
            Some((most, limit)) if most < u64::from(work.connections_of_a_process()) => {
                let fitted = fewer(work, most).filter(|work| !fit.contains(work));
                let instead = fitted.map_or("left out".to_owned(), |work| {
                    format!("{} instead", work.name())
                });
                notes.push(format!("{}: {instead}: {limit}", work.name()));
                fitted
            }
            _ => Some(work),
        };
        fit.extend(fitted);
    }
    (fit, notes)
}

/// Returns the work with a round number of idle connections for which there is the capacity.
fn fewer(work: Work, most: u64) -> Option<Work> {
    let Work::Open { .. } = work else {
        return None;
    };
    let most = u32::try_from(most).unwrap_or(u32::MAX);
    let idle = most.saturating_sub(CONNECTORS + open::FIRST) / 100 * 100;
    (idle > 0).then_some(Work::Open { idle })
}
