//! The supervisor of a server: it opens the listening sockets, has the component compiled, starts the workers
//! that serve the connections, and replaces those that die. It serves nobody itself, and runs no guest code.

mod backoff;
mod inquiry;
mod life;
mod names;
mod source;
mod start;
mod tickets;
mod workers;

use crate::control::Pem;
use crate::loading::Compiled;
use crate::server::{Plan, ServeError};
use crate::sys::memory;
use crate::sys::signals::Signals;
use anyhow::Context;
use evconn::Served;
use std::num::NonZero;
use std::sync::Arc;

/// The workers that serve the same component with the same certificate: those between two reloads.
#[derive(Debug)]
struct Generation {
    compiled: Arc<Compiled>,
    certificate: Option<Pem>,
}

/// Serves with this many worker processes until a signal stops it. Returns `None` if that was before it served.
pub async fn serve(plan: Plan, processes: NonZero<u16>) -> Result<Option<Served>, ServeError> {
    memory::take_no_huge_pages();
    let watching = Signals::watch().context("cannot handle signals");
    let signals = watching.map_err(ServeError::Prepare)?;
    match start::start(plan, processes, &signals).await? {
        None => {
            tracing::info!("stopped by a signal before serving");
            Ok(None)
        }
        Some(life) => life.run(signals).await.map(Some).map_err(ServeError::Run),
    }
}
