//! Echo over TCP, side by side: native servers, evconn in its several ways to run, and what runs
//! components without it. Each server is a process of its own.
//!
//! ```text
//! cargo bench -p evconn-bench                        # everything, in less than 10 minutes
//! cargo bench -p evconn-bench -- --quick                     # the most telling part, in less than one
//! cargo bench -p evconn-bench -- --work connect --peer evconn --peer tokio
//! ```
//!
//! `docs/benchmarks.md` says what is measured, how, and how to read it. This is not a criterion
//! benchmark because criterion measures one thing to its end, then the next; here the servers take
//! turns, since what a ratio is worth depends on what else the machine does.
//!
//! Where it ends: it reads `/proc`, and one of the servers is epoll's, so it runs on Linux.

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
