//! What `subscribe` waits for.

use super::tcp::{SocketState, TcpSocket};
use std::future::poll_fn;

impl TcpSocket {
    /// Waits until a connection can be accepted, or a connect has ended. In all other states it returns at
    /// once.
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
                // Other tasks get their time slice, however often this is polled.
                tokio::task::coop::consume_budget().await;
            }
        }
    }
}
