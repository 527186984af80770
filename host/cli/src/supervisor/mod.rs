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
use crate::server::{Plan, ServeError, announce};
use crate::sys::signals::Signals;
use crate::sys::{memory, systemd};
use anyhow::Context;
use evconn::Served;
use futures_util::future::{join_all, try_join_all};
use std::sync::Arc;

/// The workers that serve the same component with the same certificate: those between two reloads.
#[derive(Debug)]
struct Generation {
    compiled: Arc<Compiled>,
    certificate: Option<Pem>,
}

/// Serves each of these services with worker processes of its own, until a signal stops them. Returns what each has
/// served, and nothing if the signal came before.
pub async fn serve(plans: Vec<Plan>) -> Result<Vec<Served>, ServeError> {
    memory::take_no_huge_pages();
    let watching = || Signals::watch().context("cannot handle signals");
    let mut starting = Vec::new();
    for plan in plans {
        starting.push((plan, watching().map_err(ServeError::Prepare)?));
    }
    let starting = starting.into_iter().map(|(plan, signals)| async {
        let life = start::start(plan, &signals).await?;
        Ok::<_, ServeError>(life.map(|life| (life, signals)))
    });
    // Together, or not at all.
    let started: Option<Vec<_>> = try_join_all(starting).await?.into_iter().collect();
    let Some(started) = started else {
        tracing::info!("stopped by a signal before serving");
        return Ok(Vec::new());
    };
    let listeners = started.iter().flat_map(|(life, _)| life.listeners());
    announce(listeners).map_err(ServeError::Run)?;
    systemd::ready();
    let running = started.into_iter().map(|(life, signals)| life.run(signals));
    Ok(join_all(running).await)
}

/// Does all that can fail before anything is bound.
pub async fn check(plan: Plan) -> anyhow::Result<()> {
    start::prepare_and_compile(Arc::new(plan)).await.map(drop)
}
