//! Every test leaves open what was open before it, and no more.
//!
//! Descriptors are the process's, and tests run in parallel: so all of them run once more in a
//! process of their own, one after the other, and each one looks at what it leaves
//! ([`unchanged`](crate::support::descriptors::unchanged)).

use crate::support::descriptors::ONE_AT_A_TIME;
use std::process::Command;

/// Tests that start processes or compile C in plenty, and those that have nothing open of their own.
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
