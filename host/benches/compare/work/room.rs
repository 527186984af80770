//! Which of the works this machine has room for.

use super::{CONNECTORS, Work};
use evconn::machine::{self, Needs};

/// Those of the works that client and servers have room for, with fewer idle connections where that
/// helps; and what there is to say about the others.
pub fn that_fit(works: &[Work]) -> (Vec<Work>, Vec<String>) {
    let mut fit: Vec<Work> = Vec::new();
    let mut notes = Vec::new();
    for &work in works {
        let found = machine::fit(Needs {
            max_connections: work.connections() as usize,
            descriptors_each: 1,
            memories_each: 1,
            listeners: 1,
            workers: std::thread::available_parallelism().map_or(1, Into::into),
        });
        let room = found.max_connections as u32;
        let fitted = if room < work.connections() {
            let fitted = fewer(work, room).filter(|work| !fit.contains(work));
            let instead = fitted.map_or("left out".to_owned(), |work| {
                format!("{} instead", work.name())
            });
            notes.push(format!(
                "{}: {instead}: {}",
                work.name(),
                found.reasons.join("; ")
            ));
            fitted
        } else {
            Some(work)
        };
        fit.extend(fitted);
    }
    (fit, notes)
}

/// The same with a round number of idle connections that there is room for.
fn fewer(work: Work, room: u32) -> Option<Work> {
    let Work::Open { .. } = work else {
        return None;
    };
    let idle = room.saturating_sub(CONNECTORS + 1) / 100 * 100;
    (idle > 0).then_some(Work::Open { idle })
}
