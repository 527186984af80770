//! Random scripts of calls and clients, run against `listener.wasm` with real sockets and compared
//! with a small model of `wit/SEMANTICS.md`.
//!
//! `script` makes the scripts, `oracle` is the model, `subject` the component with its clients, and
//! `run` holds the two against each other. What errors of accept do is for the most part elsewhere:
//! here accepting fails at most once, for good, at the end of a script.
//!
//! The environment variable `PROPTEST_CASES` says how many scripts are run.

mod oracle;
mod run;
mod script;
mod subject;

use crate::support::has_ipv6;
use proptest::test_runner::{Config, TestCaseError, TestError, TestRunner};
use std::cell::RefCell;

const CASES: u32 = 1_000;

#[test]
fn the_component_does_what_the_model_says() {
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .expect("a runtime");
    let tally = RefCell::new(run::Tally::default());
    let result = TestRunner::new(config()).run(&script::scripts(has_ipv6()), |script| {
        let counted = runtime.block_on(run::run(&script));
        let counted = counted.map_err(|error| TestCaseError::fail(format!("{error:#}")))?;
        tally.borrow_mut().add(&counted);
        Ok(())
    });
    match result {
        Ok(()) => eprintln!("{:?}", tally.borrow()),
        Err(TestError::Fail(reason, script)) => panic!("{script:?}\nfailed at {reason}"),
        Err(error) => panic!("{error}"),
    }
}

fn config() -> Config {
    // By default, the number comes from the environment or is 256.
    let config = Config::default();
    let is_told = std::env::var_os("PROPTEST_CASES").is_some();
    Config {
        cases: if is_told { config.cases } else { CASES },
        // A failure says what to run. No file is left in the source tree.
        failure_persistence: None,
        // In milliseconds: a script that fails may do so by waiting in vain.
        max_shrink_time: 60_000,
        ..config
    }
}
