//! What the causes of ends and refusals mean, in short: `docs/metrics.md` says more.

/// Whether an end is what a server is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Failed,
    Refused,
    Ended,
}

impl Kind {
    pub fn name(self) -> &'static str {
        match self {
            Self::Failed => "failed",
            Self::Refused => "refused",
            Self::Ended => "ended",
        }
    }
}

use Kind::{Ended, Failed, Refused};

const CAUSES: [(&str, Kind, &str); 22] = [
    (
        "peer_denied",
        Refused,
        "the peer is not allowed: --allow-peer, --deny-peer",
    ),
    (
        "peer_limit",
        Refused,
        "the peer has --max-connections-per-peer",
    ),
    (
        "peer_rate",
        Refused,
        "the peer opens more than --accept-rate-per-peer",
    ),
    (
        "handshake",
        Refused,
        "the TLS handshake or PROXY header failed or was too slow",
    ),
    (
        "handshake_limit",
        Refused,
        "more handshakes than --max-handshakes",
    ),
    (
        "event_loop",
        Refused,
        "the socket was not registered with the event loop",
    ),
    ("done", Ended, "the service was done with it"),
    ("handler_error", Failed, "the handler returned an error"),
    (
        "exited",
        Failed,
        "the service exited with a status that is not 0",
    ),
    (
        "never_accepted",
        Failed,
        "the program ended before it accepted it",
    ),
    (
        "not_started",
        Failed,
        "the program was not started, since it ends before it accepts",
    ),
    ("trap", Failed, "the guest trapped or exceeded a limit"),
    ("cpu_timeout", Failed, "the guest exceeded --cpu-timeout"),
    ("handle_limit", Failed, "the guest exceeded --max-handles"),
    ("host_panic", Failed, "a function of the host panicked"),
    (
        "peer_gone",
        Ended,
        "the peer was gone before the service was done",
    ),
    ("timeout", Ended, "it reached --timeout"),
    ("idle_timeout", Ended, "it reached --idle-timeout"),
    (
        "not_accepted",
        Ended,
        "the program did not accept it within --idle-timeout",
    ),
    ("shutdown", Ended, "the shutdown reset it"),
    ("worker_died", Failed, "the process that served it died"),
    ("reset", Ended, "it was reset by its number"),
];

/// Returns what a cause is, and what it means. One that this version does not know is an end.
pub fn of(cause: &str) -> (Kind, &'static str) {
    let found = CAUSES.iter().find(|(name, ..)| *name == cause);
    found.map_or((Ended, ""), |(_, kind, meaning)| (*kind, meaning))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    #[test]
    fn the_causes_are_those_of_the_page_about_metrics() {
        let page = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/metrics.md");
        let page = std::fs::read_to_string(page).expect("the page");
        let mut documented = BTreeSet::new();
        for (head, is_refusal) in [
            ("| cause of a refusal |", true),
            ("| cause of an end |", false),
        ] {
            let (_, table) = page.split_once(head).expect(head);
            let rows = table
                .lines()
                .skip(2)
                .take_while(|line| line.starts_with('|'));
            let causes = rows.filter_map(|row| row.split('`').nth(1));
            documented.extend(causes.map(|cause| (cause, is_refusal)));
        }
        let known = CAUSES
            .iter()
            .map(|(cause, kind, _)| (*cause, *kind == Refused));
        assert_eq!(known.collect::<BTreeSet<_>>(), documented);
    }
}
