//! Starting services, together or not at all.

use super::Fleet;
use crate::admin::Readiness;
use crate::args::NamedSource;
use crate::server::{Plan, ServeError};
use crate::supervisor::life::{Beacon, Life};
use crate::supervisor::start::{Kept, Place, members, start};
use crate::sys::signals::StopSignals;
use evconn::sockets::TcpOptions;
use futures_util::future::try_join_all;
use std::ffi::OsString;
use std::num::NonZeroU32;
use std::ops::Range;
use std::sync::Arc;
use tokio::sync::watch;

/// What tells a service from others, and from itself before a reload.
#[derive(Clone)]
pub struct Identity {
    pub name: Option<String>,
    pub arguments: Vec<OsString>,
    pub sources: Vec<NamedSource>,
    /// With what they are listened on: the backlog, and options of TCP.
    listens_with: (NonZeroU32, TcpOptions),
    /// The numbers of its processes, as metrics have them.
    pub processes: Range<u16>,
    pub reads_standard_input: bool,
}

impl Identity {
    /// Whether it keeps sockets that were opened with other settings than its own.
    pub fn keeps_old_settings_of(&self, old: &Self) -> bool {
        let mut sources = self.sources.iter();
        self.listens_with != old.listens_with && sources.any(|source| old.sources.contains(source))
    }
}

/// A service that is about to start.
pub struct Starting {
    pub plan: Plan,
    pub place: Place,
    processes: Range<u16>,
    readiness: watch::Receiver<Readiness>,
}

/// A service that is ready to run.
pub struct Started {
    pub identity: Identity,
    pub life: Life,
    pub readiness: watch::Receiver<Readiness>,
}

impl Fleet {
    /// Prepares the start of a service.
    pub fn prepare(&self, plan: Plan) -> Starting {
        let (beacon, readiness) = Beacon::new(Arc::clone(&self.changed));
        let processes = self.free_processes(plan.name(), members(&plan));
        let place = Place {
            kept: Kept::default(),
            first_process: processes.start,
            numbers: self.numbers.clone(),
            beacon,
        };
        Starting {
            plan,
            place,
            processes,
            readiness,
        }
    }

    /// Returns numbers for processes that those of the same service do not have.
    fn free_processes(&self, name: Option<&str>, count: u16) -> Range<u16> {
        let same = self.all().filter(|service| service.name() == name);
        let taken = same.map(|service| service.identity.processes.clone());
        free(taken.collect(), count)
    }
}

/// Returns the first `count` numbers in a row that are not taken.
fn free(mut taken: Vec<Range<u16>>, count: u16) -> Range<u16> {
    taken.sort_unstable_by_key(|range| range.start);
    let mut first = 0_u16;
    for range in taken {
        if range.start.saturating_sub(first) >= count {
            break;
        }
        first = first.max(range.end);
    }
    first..first.saturating_add(count)
}

/// Starts services. Returns `None` if a signal arrives meanwhile.
pub async fn start_all(
    starting: Vec<Starting>,
    stops: &StopSignals,
) -> Result<Option<Vec<Started>>, ServeError> {
    let starting = starting.into_iter().map(|service| async {
        let Starting {
            plan,
            place,
            processes,
            readiness,
        } = service;
        let identity = Identity {
            name: plan.name.clone(),
            arguments: plan.arguments.clone(),
            sources: plan.listen.sources.clone(),
            listens_with: (plan.server.backlog(), plan.listen.options()),
            reads_standard_input: plan.component.is_standard_input(),
            processes,
        };
        let life = start(plan, place, stops).await?;
        Ok::<_, ServeError>(life.map(|life| Started {
            identity,
            life,
            readiness,
        }))
    });
    Ok(try_join_all(starting).await?.into_iter().collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_used_again() {
        let free = |taken: &[(u16, u16)]| {
            let taken = taken.iter().map(|(first, end)| *first..*end);
            free(taken.collect(), 4)
        };
        assert_eq!(free(&[]), 0..4);
        assert_eq!(free(&[(0, 4)]), 4..8);
        assert_eq!(free(&[(4, 8), (0, 4)]), 8..12);
        assert_eq!(free(&[(4, 8)]), 0..4);
        assert_eq!(free(&[(8, 12), (2, 4)]), 4..8);
        assert_eq!(free(&[(0, u16::MAX)]), u16::MAX..u16::MAX);
    }
}
