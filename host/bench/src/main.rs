//! The program of `cargo run --release -p evconn-bench -- hostile`. Without a subcommand it is the benchmark
//! of `cargo bench -p evconn-bench`.

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
