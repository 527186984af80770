//! The end of accepting: no new connections enter the kernel's accept queue, and the queue is drained.
//!
//! # Who gets in
//! On Linux, only connections that began before the drain. A TCP listener gets a filter that drops the first
//! packet of every new connection. The peer sends that packet again after a second, and is refused if the
//! socket is closed by then. All other packets pass: a listening socket also receives those that complete a
//! handshake, and the connections that it accepts inherit its filter. A Unix socket that is shut down for
//! reading refuses new connections, and keeps its queue.
//!
//! On other systems, peers can connect until the socket is closed.
//!
//! # What is left alone
//! A socket that is shared with other processes: connections in its queue belong to them, too.

use super::listening::{Listening, REFUSED_AT_A_TIME};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::policy::Policy;
use crate::sys::{self, code_of_accept};
#[cfg(unix)]
use socket2::SockRef;
use std::io;
#[cfg(unix)]
use std::os::fd::BorrowedFd;
use std::task::Poll;

/// Lets no more peers connect to a listening socket, as draining it does. Connections in its queue can still be
/// accepted, by each process that has it. Linux only; elsewhere this does nothing.
///
/// # Errors
/// The operating system's. Some kernels allow it only to privileged processes.
#[cfg(unix)]
pub fn refuse_connections(socket: BorrowedFd<'_>) -> io::Result<()> {
    let socket = SockRef::from(&socket);
    let is_unix = socket.local_addr()?.is_unix();
    sys::refuse_new(&socket, is_unix)
}

/// A listening socket that is about to be closed.
///
/// The socket is polled directly, without tokio, which may not know of the last connections yet. So no task
/// is woken when a connection arrives: the caller polls repeatedly.
#[derive(Debug)]
pub struct Drain {
    shared: bool,
    /// Whether the last attempt to accept found the queue empty.
    empty: bool,
}

impl Drain {
    /// Stops new connections, unless the socket is `shared` with other processes.
    pub fn begin(listening: &Listening, shared: bool) -> Self {
        if !shared && let Err(error) = sys::refuse_new(&listening.options(), listening.is_unix()) {
            // Connections in the queue are accepted all the same.
            tracing::debug!("peers may still connect while the listener ends: {error}");
        }
        Self {
            shared,
            empty: false,
        }
    }

    /// Accepts a connection. Returns `Pending` if none waits, or if many were refused in this call.
    pub fn accept(
        &mut self,
        listening: &Listening,
        policy: &Policy,
    ) -> Poll<Result<Endpoint, ErrorCode>> {
        self.empty = self.shared;
        if self.shared {
            return Poll::Pending;
        }
        for _ in 0..REFUSED_AT_A_TIME {
            match listening.accept_now() {
                Ok(endpoint) => {
                    if let Some(endpoint) = listening.admit(endpoint, policy) {
                        return Poll::Ready(Ok(endpoint));
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.empty = true;
                    return Poll::Pending;
                }
                Err(error) => return Poll::Ready(Err(code_of_accept(&error))),
            }
        }
        Poll::Pending
    }

    /// Returns whether the last attempt to accept found the queue empty, and resets that.
    pub fn found_nothing(&mut self) -> bool {
        std::mem::take(&mut self.empty)
    }

    /// Returns whether a handshake that began before the drain is still in progress. The peer may already
    /// consider itself connected.
    pub fn expects_more(&self, listening: &Listening) -> bool {
        if self.shared || listening.is_unix() {
            return false;
        }
        let found = listening
            .local_address()
            .and_then(|address| sys::has_handshakes(address.port()));
        found.unwrap_or_else(|error| {
            tracing::debug!("handshakes that are under way are not known: {error}");
            false
        })
    }
}
