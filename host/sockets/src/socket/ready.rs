//! What `subscribe` waits for.

use super::tcp::{Result, SocketState, TcpSocket};
use crate::error::ErrorCode;
use crate::policy::Check;
use std::future::poll_fn;
use std::task::{Context, Poll, ready};

impl TcpSocket {
    /// Returns the check of the address that a connect waits for.
    pub(crate) fn check(&self) -> Option<Check> {
        match &self.state {
            SocketState::ConnectChecked(_, _, check) => Some(check.clone()),
            _ => None,
        }
    }

    /// Waits until a connect has ended, the check of whose address is done.
    pub(crate) fn poll_connected(&mut self, cx: &mut Context<'_>) -> Poll<Result<()>> {
        self.connect_if_checked();
        loop {
            if let SocketState::ConnectInProgress(stream, _) = &self.state {
                // `finish_connect` reports an error of the event loop.
                let _ = ready!(stream.poll_writable(cx));
            }
            match self.finish_connect() {
                Err(ErrorCode::WouldBlock) => {}
                result => return Poll::Ready(result.map(drop)),
            }
        }
    }

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
