//! The metrics of a server, as OpenMetrics text.

use evconn::Served;
use std::fmt::Write;

/// Writes what was served so far, and how many connections are open.
pub fn encode(served: &Served, open: usize) -> String {
    let counters = [
        (
            "connections",
            "Connections that were accepted",
            served.connections,
        ),
        (
            "connections_refused",
            "Connections that were refused before the service got them",
            served.refused,
        ),
        (
            "connections_failed",
            "Connections whose service failed",
            served.failed,
        ),
        (
            "connections_peer_gone",
            "Connections that their peer ended early",
            served.peer_gone,
        ),
        (
            "connections_timed_out",
            "Connections that exceeded a timeout",
            served.timed_out,
        ),
        (
            "connections_killed",
            "Connections that the shutdown has reset",
            served.killed,
        ),
    ];
    let mut text = String::new();
    for (name, help, value) in counters {
        // Writing to a string does not fail.
        let _ = write!(
            text,
            "# TYPE evconn_{name} counter\n# HELP evconn_{name} {help}.\nevconn_{name}_total {value}\n"
        );
    }
    let _ = write!(
        text,
        "# TYPE evconn_connections_open gauge\n# HELP evconn_connections_open Connections that are open.\n\
         evconn_connections_open {open}\n# EOF\n"
    );
    text
}
