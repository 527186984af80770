//! The streams of a connection in WASI 0.3: each is taken once, and they share the connection with the socket. It ends
//! for the guest when it has dropped all of them.

use super::tcp::{Result, SocketState, TcpSocket};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::listen::Told;
use crate::policy::{Connected, Resettable};
use std::sync::Arc;

/// Which streams of a socket were taken.
#[derive(Debug, Default)]
pub(super) struct Streams {
    /// The share of the socket, since the first stream was taken.
    held: Option<Arc<Held>>,
    sends: bool,
    receives: bool,
}

/// A connection that a guest has: its socket, or streams of it. When the guest has dropped the last of them, the
/// connection was dropped.
#[derive(Debug)]
pub(crate) struct Held {
    endpoint: Arc<Endpoint>,
    /// Counts the connection as open.
    _told: Option<Arc<Told>>,
    connected: Connected,
}

impl Held {
    pub fn endpoint(&self) -> &Endpoint {
        &self.endpoint
    }

    /// Returns the connection, to be shared.
    pub fn connection(&self) -> &Arc<Endpoint> {
        &self.endpoint
    }

    /// Returns whether what is dropped is dropped by its guest, rather than with its guest.
    pub fn is_guest_running(&self) -> bool {
        self.connected.is_guest_running()
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        if self.is_guest_running() {
            self.endpoint.socket_dropped();
        }
    }
}

impl TcpSocket {
    /// Takes the sending direction of a connected socket.
    pub(crate) fn take_sender(&mut self) -> Result<Arc<Held>> {
        let is_connected = self.endpoint().is_some();
        let is_taken = std::mem::replace(&mut self.streams.sends, is_connected);
        self.hold(is_taken)
    }

    /// Takes the receiving direction of a connected socket.
    pub(crate) fn take_receiver(&mut self) -> Result<Arc<Held>> {
        let is_connected = self.endpoint().is_some();
        let is_taken = std::mem::replace(&mut self.streams.receives, is_connected);
        self.hold(is_taken)
    }

    fn hold(&mut self, is_taken: bool) -> Result<Arc<Held>> {
        let endpoint = match &self.state {
            SocketState::Connected(endpoint) if !is_taken => Arc::clone(endpoint),
            SocketState::ConnectFailed(code) | SocketState::Closed(code) => return Err(*code),
            _ => return Err(ErrorCode::InvalidState),
        };
        let hold = || {
            Arc::new(Held {
                connected: self.ctx.life().connect(&endpoint),
                endpoint,
                _told: self.told.clone(),
            })
        };
        Ok(Arc::clone(self.streams.held.get_or_insert_with(hold)))
    }

    /// Handles the drop of the socket by a guest of WASI 0.3: streams that it has go on.
    pub(crate) fn released(self) {
        if self.streams.held.is_none() {
            self.dropped();
        }
    }
}

impl Resettable for Endpoint {
    fn reset_with_guest(&self) {
        if !self.is_for_others() {
            self.reset();
        }
    }
}
