//! What `subscribe` waits for.

use super::tcp::{SocketState, TcpSocket};
use std::future::poll_fn;

impl TcpSocket {
    /// Waits until a connection can be accepted, or connecting has come to an end. In all other states there
    /// is nothing to wait for.
    pub(crate) async fn ready(&mut self) {
        if let SocketState::ConnectChecked(_, _, check) = &self.state {
            check.done().await;
            self.connect_if_checked();
        }
        match &self.state {
            SocketState::Listening(listener) => poll_fn(|cx| listener.poll_ready(cx)).await,
            SocketState::ConnectInProgress(stream, _) => {
                // `finish-connect` reports an error of the event loop.
                let _ = poll_fn(|cx| stream.poll_writable(cx)).await;
                self.fail_if_failed();
            }
            SocketState::Unbound(_)
            | SocketState::BindInProgress(_)
            | SocketState::Bound(_)
            | SocketState::ListenInProgress(_)
            | SocketState::ConnectChecked(..)
            | SocketState::ConnectFailed(_)
            | SocketState::Connected(_)
            | SocketState::Closed(_) => {
                // However often it is asked, other tasks get their time slice.
                tokio::task::coop::consume_budget().await;
            }
        }
    }
}
