//! The handle to a server that runs.

use super::Served;
use super::connections::Connections;
use crate::service::{Instances, Reuse};
use crate::{Error, Service};
use std::sync::Arc;
use tokio_util::sync::CancellationToken;

/// A handle to a [`Server`](super::Server), to be used while it runs. Clones are the same server's.
#[derive(Clone)]
pub struct ServerHandle {
    connections: Arc<Connections>,
    reuse: Reuse,
    stopping: CancellationToken,
}

impl ServerHandle {
    pub(super) fn new(connections: Arc<Connections>, reuse: Reuse) -> Self {
        Self {
            connections,
            reuse,
            stopping: CancellationToken::new(),
        }
    }

    /// Have new connections served by this service, and by what is its ingress. Those that are open are
    /// served to their end by the one that they have.
    ///
    /// It has to be of the same [`Host`](crate::Host), which has the room for its instances.
    ///
    /// # Errors
    /// [`Error::TooManyMemories`] if there is less room for it than for the one that it replaces. That one
    /// then stays in use.
    pub fn reload(&self, service: &Service) -> Result<(), Error> {
        let limits = self.connections.limits();
        service.check_room(limits.max_connections)?;
        let instances = Instances::new(service.clone(), limits, self.reuse);
        self.connections.replace(instances);
        Ok(())
    }

    /// What serving has come to so far.
    pub fn served(&self) -> Served {
        self.connections.counters.served()
    }

    /// How many connections are open: accepted, and not yet gone.
    pub fn open(&self) -> usize {
        self.connections.open()
    }

    /// Wait until the server is told to end, or ends by itself: it is not ready any more, although it
    /// may go on accepting for a while.
    pub async fn stopping(&self) {
        self.stopping.cancelled().await;
    }

    pub(super) fn begin_stopping(&self) {
        self.stopping.cancel();
    }

    pub(super) fn connections(&self) -> &Arc<Connections> {
        &self.connections
    }
}
