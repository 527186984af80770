//! Compares servers that echo over TCP: native servers, evconn in several modes, and other runtimes for
//! components. Each server is a process of its own.
//!
//! ```text
//! cargo bench -p evconn-bench                        # everything, in less than 15 minutes
//! cargo bench -p evconn-bench -- --quick                     # the most telling part, in less than one
//! cargo bench -p evconn-bench -- --work connect --peer evconn --peer tokio
//! ```
//!
//! `docs/benchmarks.md` describes what is measured, how, and how to read it. This is not a criterion
//! benchmark: criterion completes one benchmark before the next, whereas here the servers are measured in
//! turns, since a ratio is only as good as the conditions are equal.
//!
//! It reads `/proc`, and one of the servers uses epoll, so it runs on Linux only.

use std::process::ExitCode;

fn main() -> ExitCode {
    #[cfg(target_os = "linux")]
    return evconn_bench::main();
    #[cfg(not(target_os = "linux"))]
    {
        eprintln!("error: the benchmark reads /proc, so it runs on Linux alone");
        ExitCode::from(2)
    }
}
