//! The end of accepting: nobody new gets into the kernel's queue, and what is in it is taken.
//!
//! # Who gets in
//! On Linux, nobody who was not there before. A TCP socket that listens gets a filter that drops the
//! first packet of every new connection. Its peer sends that packet again after a second, and is
//! refused if the socket is closed by then. All other packets pass: a listening socket gets those that
//! complete a handshake, too, and what it accepts inherits its filter. A Unix socket that is shut down
//! for reading refuses, and keeps its queue.
//!
//! Elsewhere peers get in until the socket is closed.
//!
//! # What is left alone
//! A socket that other processes may have, too: whatever waits there is theirs.

use super::listening::{Listening, REFUSED_AT_A_TIME};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::policy::Policy;
use crate::sys::{self, code_of_accept};
use std::io;
use std::task::Poll;

/// A listening socket that is about to be closed.
///
/// It is asked directly, and not by way of tokio, which may not know yet of who came last. So nobody is
/// woken when there is somebody, and whoever waits has to look from time to time.
#[derive(Debug)]
pub struct Drain {
    shared: bool,
    /// The last attempt to accept found the queue empty.
    empty: bool,
}

impl Drain {
    /// Lets nobody else in, unless the socket is `shared` with other processes.
    pub fn begin(listening: &Listening, shared: bool) -> Self {
        if !shared && let Err(error) = sys::refuse_new(&listening.options(), listening.is_unix()) {
            // What waits is taken all the same.
            tracing::debug!("peers may still connect while the listener ends: {error}");
        }
        Self {
            shared,
            empty: false,
        }
    }

    /// Accepts a connection. Pending: none waits, or enough was done for now.
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

    /// Whether the last attempt to accept found the queue empty. It is said once.
    pub fn found_nothing(&mut self) -> bool {
        std::mem::take(&mut self.empty)
    }

    /// Whether a peer is about to get in, who came before the end began. Its own side may have told
    /// it already that it is connected.
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
