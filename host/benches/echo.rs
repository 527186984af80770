//! Echo over TCP: native tokio against [`evconn::serve`] with the embedded echo component, a fresh
//! instance for each connection; and the same components on wasmtime-wasi's sockets.
//!
//! ```text
//! cargo bench              # under a minute
//! cargo bench -- --quick   # about 10 seconds, and less exact
//! ```
//!
//! What a ratio of two is worth depends on what else the machine does. So the servers take
//! turns, A B C A B C, and a ratio is that of neighbours; its spread is printed beside it. This is
//! not a criterion benchmark because criterion measures one thing to its end, then the next.
//!
//! The client runs in this process, on a tokio runtime of its own, and shares the cores with the
//! server under load: the figures are not what a server can do with the machine to itself. The
//! server that is not under load has nothing to do, but for evconn's clock, which ticks every 10 ms.

#[path = "echo/client.rs"]
mod client;
#[path = "echo/loads.rs"]
mod loads;
#[path = "echo/options.rs"]
mod options;
#[path = "echo/report.rs"]
mod report;
#[path = "echo/rounds.rs"]
mod rounds;
#[path = "echo/servers.rs"]
mod servers;
#[path = "echo/stock.rs"]
mod stock;

use anyhow::{Context, Result};
use loads::Load;
use options::Plan;
use rounds::Bench;
use servers::{Component, Native};
use std::io;
use std::num::NonZero;
use std::process::ExitCode;
use stock::Stock;
use tokio::runtime::{Builder, Runtime};

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let (loads, plan) = match options::parse() {
        Ok(parsed) => parsed,
        Err(code) => return code,
    };
    match run(&loads, &plan) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(loads: &[Load], plan: &Plan) -> Result<()> {
    let bench = Bench {
        native: Native::new()?,
        component: Component::new()?,
        stock: Stock::new()?,
        client: runtime("client")?,
    };
    report::print_header(plan);
    for &load in loads {
        let rounds = bench
            .measure(load, plan)
            .with_context(|| format!("{load:?}"))?;
        report::print_row(load, &rounds);
    }
    Ok(())
}

/// How many workers each of the runtimes has.
fn workers() -> usize {
    std::thread::available_parallelism().map_or(1, NonZero::get)
}

/// A runtime of tokio as `#[tokio::main]` makes it.
fn runtime(name: &str) -> io::Result<Runtime> {
    Builder::new_multi_thread()
        .worker_threads(workers())
        .thread_name(name)
        .enable_all()
        .build()
}
