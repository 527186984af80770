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

use crate::Endpoint;
use crate::listen::listening::{Listening, REFUSED_AT_A_TIME};
use crate::policy::rule::Policy;
use crate::sys::errno::code_of_accept;
use std::io;
use std::task::Poll;
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

/// A listening socket that is about to be closed.
///
/// It is asked directly, and not by way of tokio, which may not know yet of who came last. So nobody is
/// woken when there is somebody, and whoever waits has to look from time to time.
#[derive(Debug)]
pub(crate) struct Ending {
    shared: bool,
    /// The last attempt to accept found the queue empty.
    empty: bool,
}

impl Ending {
    /// Let nobody else in, unless the socket is `shared` with other processes.
    pub fn begin(listening: &Listening, shared: bool) -> Self {
        #[cfg(target_os = "linux")]
        if !shared && let Err(error) = refuse_new(listening) {
            // What waits is taken all the same.
            tracing::debug!("peers may still connect while the listener ends: {error}");
        }
        #[cfg(not(target_os = "linux"))]
        let _nothing_to_do = listening;
        Self {
            shared,
            empty: false,
        }
    }

    /// Accept a connection. Pending: none waits, or enough was done for now.
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
        #[cfg(target_os = "linux")]
        if !self.shared
            && !listening.is_unix()
            && let Ok(address) = listening.local_address()
        {
            return crate::sys::linux::has_handshakes(address.port()).unwrap_or_else(|error| {
                tracing::debug!("handshakes that are under way are not known of: {error}");
                false
            });
        }
        #[cfg(not(target_os = "linux"))]
        let _who_knows = listening;
        false
    }
}

#[cfg(target_os = "linux")]
fn refuse_new(listening: &Listening) -> io::Result<()> {
    use std::os::fd::AsFd;
    let socket = listening.options();
    if listening.is_unix() {
        return socket.shutdown(std::net::Shutdown::Read);
    }
    // Those that the kernel holds back for want of a byte are to come, too.
    crate::sys::linux::set_defer_accept(socket.as_fd(), std::time::Duration::ZERO)?;
    crate::sys::linux::drop_first_packets(&socket)
}
