//! What wasmtime-wasi's sockets do other than the documents say. It is asserted, so that the list
//! stays true, and `wit/SOCKETS.md` tells of it.

use super::case::Case;
use super::linked::Implementation;
use std::collections::BTreeSet;

/// One thing that is different, and each place where it shows.
pub struct Difference {
    /// As it is in `wit/SOCKETS.md`.
    pub title: &'static str,
    /// The case, the line, and what stands there instead.
    places: &'static [(&'static str, &'static str, &'static str)],
}

pub const DIFFERENCES: &[Difference] = &[];

impl Difference {
    /// The cases in which it shows.
    pub fn cases(&self) -> BTreeSet<&'static str> {
        self.places.iter().map(|(case, ..)| *case).collect()
    }
}

fn places(
    case: &Case,
) -> impl Iterator<Item = &'static (&'static str, &'static str, &'static str)> {
    let name = case.name;
    let differs = case.implementation == Implementation::Wasmtime;
    let places = DIFFERENCES.iter().flat_map(|difference| difference.places);
    places.filter(move |(of_case, ..)| differs && *of_case == name)
}

/// What stands in that line instead, if that is something else than the documents say.
pub fn of(case: &Case, line: &str) -> Option<(&'static str, &'static str)> {
    let mut places = places(case);
    let found = places.find(|(_, what, _)| *what == line);
    found.map(|(_, what, instead)| (*what, *instead))
}

/// A case has been through: each place of it in the table was one of its lines.
pub fn assert_all_met(case: &Case, met: &BTreeSet<&'static str>) {
    let all: BTreeSet<_> = places(case).map(|(_, what, _)| *what).collect();
    assert_eq!(
        *met, all,
        "lines of which the table tells, and the case does not"
    );
}
