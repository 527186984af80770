//! The command `evconn serve`, as a process.

mod access_log;
mod bad_input;
mod flags;
mod instances;
mod life;
mod reload;
mod start;
mod systemd;

use crate::support::peer::{ask, connect, echoing, rest};
use crate::support::process::Evconn;

/// The service that executes the command in its peer's first line.
const TEST_GUEST: &str = evconn_artifacts::HANDLER_PATH;

/// Serves the test guest on a free port.
fn start(flags: &[&str]) -> Evconn {
    Evconn::start(&[&["serve", TEST_GUEST, "--listen", "127.0.0.1:0"], flags].concat())
}
