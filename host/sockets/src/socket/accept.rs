//! Accepting: from the operating system, or what the host has accepted.

use super::option::{self, Kept};
use super::tcp::{Result, SocketState, TcpSocket};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::listen::{AnyListener, Listener, Told};
use std::sync::Arc;

impl TcpSocket {
    /// Accepts a connection. Fails with `WouldBlock` if none waits.
    pub(crate) fn accept(&self) -> Result<(Self, Arc<Endpoint>)> {
        let listener = self.listener().ok_or(ErrorCode::InvalidState)?;
        let (endpoint, told) = listener.accept()?;
        match &self.kept {
            Some(_) if told.as_ref().is_some_and(Told::is_own) => {}
            Some(kept) => self.accept_from_host(&endpoint, kept),
            None => self.let_inherit(listener, &endpoint)?,
        }
        let state = SocketState::Connected(Arc::clone(&endpoint));
        let socket = Self {
            told,
            ..Self::with(&self.ctx, self.family, state)
        };
        Ok((socket, endpoint))
    }

    fn let_inherit(&self, listener: &AnyListener, endpoint: &Endpoint) -> Result<()> {
        match listener.system().map(Listener::listening) {
            Some(listening) if !listening.is_unix() => {
                option::inherit(&listening.options(), &endpoint.options(), self.family)
            }
            Some(_) | None => Ok(()),
        }
    }

    /// Makes a connection that the host has accepted the guest's.
    fn accept_from_host(&self, endpoint: &Endpoint, kept: &Kept) {
        if let Some(account) = self.ctx.account() {
            endpoint.charge_to(account);
        }
        endpoint.leave_end_to_guest();
        if !endpoint.plain().is_unix() {
            let applied = kept.clone().apply(&endpoint.options(), endpoint.family());
            // The peer may be gone, which the guest finds out otherwise.
            if let Err(error) = applied {
                tracing::debug!(
                    "options of a listening socket are not those of a connection: {error}"
                );
            }
        }
    }
}
