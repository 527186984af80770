//! The supervisor of a server: it opens the listening sockets, has the component compiled, starts the workers
//! that serve the connections, and replaces those that die. It serves nobody itself, and runs no guest code.

mod backoff;
mod fleet;
mod inquiry;
mod life;
mod names;
mod source;
mod start;
mod tickets;
mod upgrade;
mod workers;

use crate::control::Pem;
use crate::loading::Compiled;
use crate::server::Plan;
use std::sync::Arc;

pub use fleet::{Origin, Services, serve};

/// The workers that serve the same component with the same certificate: those between two reloads.
#[derive(Debug)]
struct Generation {
    compiled: Arc<Compiled>,
    certificate: Option<Pem>,
}

/// Does all that can fail before anything is bound.
pub async fn check(plan: Plan) -> anyhow::Result<()> {
    start::prepare_and_compile(Arc::new(plan)).await.map(drop)
}
