//! Every test leaves as many descriptors open as it found.
//!
//! All tests share the descriptors of the process and run in parallel. So they run once more in a process
//! of their own, one after the other, and each one checks what it leaves open
//! ([`unchanged`](crate::support::descriptors::unchanged)).

use crate::support::descriptors::ONE_AT_A_TIME;
use std::process::Command;

/// Tests that start many processes or compile C, and those that open nothing themselves.
const SKIPPED: [&str; 7] = [
    "hygiene::",
    "elsewhere::",
    "languages::",
    "side_by_side",
    "semantics::backing_off::",
    "document::",
    "misuse::",
];

#[test]
fn every_test_leaves_the_descriptors_as_they_were() {
    let program = std::env::current_exe().expect("the path of this program");
    let mut command = Command::new(program);
    command.arg("--test-threads=1").env(ONE_AT_A_TIME, "1");
    for name in SKIPPED {
        command.args(["--skip", name]);
    }
    let output = command.output().expect("this program starts again");
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(!text.contains("\n0 passed"), "{text}");
}
