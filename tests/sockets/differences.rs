//! How wasmtime-wasi's sockets differ from the documents. The differences are asserted, so that the list
//! in `wit/SOCKETS.md` stays correct.

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

pub const DIFFERENCES: &[Difference] = &[
    Difference {
        title: "Calls on a socket that a listen has closed",
        places: &[
            (
                "states::closed_by_listen",
                "local-address",
                "unknown, closed",
            ),
            (
                "states::closed_by_listen",
                "remote-address",
                "unknown, closed",
            ),
            (
                "states::closed_by_listen",
                "set-listen-backlog-size",
                "unknown, closed",
            ),
            ("states::closed_by_listen", "get options", "unknown, closed"),
            ("states::closed_by_listen", "set options", "unknown, closed"),
        ],
    },
    Difference {
        title: "A socket that is being bound",
        places: &[(
            "states::bind_in_progress",
            "local-address",
            "ok, bind-in-progress",
        )],
    },
    Difference {
        title: "A socket that begins to listen",
        places: &[
            (
                "states::listen_in_progress",
                "accept",
                "would-block, listen-in-progress",
            ),
            (
                "states::listen_in_progress",
                "is-listening",
                "yes, listen-in-progress",
            ),
        ],
    },
    Difference {
        title: "A socket that is connecting",
        places: &[
            (
                "states::connect_in_progress",
                "local-address",
                "invalid-state, connect-in-progress",
            ),
            (
                "states::connect_in_progress",
                "get options",
                "invalid-state, connect-in-progress",
            ),
            (
                "states::connect_in_progress",
                "set options",
                "invalid-state, connect-in-progress",
            ),
            (
                "states::bound_connect_in_progress",
                "local-address",
                "invalid-state, connect-in-progress",
            ),
            (
                "states::bound_connect_in_progress",
                "get options",
                "invalid-state, connect-in-progress",
            ),
            (
                "states::bound_connect_in_progress",
                "set options",
                "invalid-state, connect-in-progress",
            ),
        ],
    },
    Difference {
        title: "A connect that was waited for",
        places: &[(
            "states::resolved_connect_in_progress",
            "remote-address",
            "ok, connect-in-progress",
        )],
    },
    Difference {
        title: "No descriptors left",
        places: &[
            ("limits::create", "without", "unknown"),
            ("limits::accepting", "without", "unknown"),
            ("limits::accepting", "and again", "unknown"),
        ],
    },
    Difference {
        title: "An output stream that has failed",
        places: &[
            ("streams::reset_while_writing", "and again", "failed"),
            ("streams::reset_while_writing", "write again", "failed"),
        ],
    },
    Difference {
        title: "An output stream that is dropped",
        places: &[
            ("streams::output_dropped", "the peer sees the end", "no"),
            ("streams::both_dropped", "the peer sees the end", "no"),
        ],
    },
    Difference {
        title: "An output stream that is dropped with unsent bytes",
        places: &[(
            "streams::output_dropped_with_unsent",
            "the drop waits for the peer",
            "yes",
        )],
    },
    Difference {
        title: "A program that polls what is always ready",
        places: &[
            ("polling::beside_an_always_ready_one", "the others", "wait"),
            ("polling::beside_an_ended_input", "the others", "wait"),
            ("polling::spinning", "the others", "wait"),
        ],
    },
    Difference {
        title: "More than 128 streams that are ready",
        places: &[
            ("polling::many_ready_ones", "one poll tells of all", "no"),
            ("polling::many_ready_ones", "ten polls tell of all", "no"),
        ],
    },
];

/// Those of WASI 0.3.
pub const ASYNC_DIFFERENCES: &[Difference] = &[
    Difference {
        title: "Unread input when a connection is dropped",
        places: &[
            ("streams::unread_input", "after the end", "a reset"),
            ("streams::input_dropped_unread", "after the end", "a reset"),
        ],
    },
    Difference {
        title: "A program that traps",
        places: &[("streams::trap", "the end", "regular")],
    },
];

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
    let differences = match case.is_async() {
        true => ASYNC_DIFFERENCES,
        false => DIFFERENCES,
    };
    let places = differences.iter().flat_map(|difference| difference.places);
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
