//! Accepting: from the operating system, or what the host has accepted.

use super::option::{self, SharedKept};
use super::tcp::{Result, SocketState, TcpSocket};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::listen::{AnyListener, Arrived, Listener, Told};
use crate::policy::{IpAddressFamily, TcpCtx};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::time::{Sleep, sleep};

/// How long to wait until accepting is tried again after an error that lasts: no descriptors are left, say. Peers wait in
/// the kernel's queue meanwhile. A guest that goes on at once, as it may, does not spin.
const PAUSE: Duration = Duration::from_millis(1);

impl TcpSocket {
    /// Accepts a connection. Fails with `WouldBlock` if none waits.
    pub(crate) fn accept(&self) -> Result<(Self, Arc<Endpoint>)> {
        let listener = self.listener().ok_or(ErrorCode::InvalidState)?;
        let accepted = listener.accept()?;
        let kept = self.kept.as_ref();
        Self::accepted(&self.ctx, self.family, listener, kept, accepted)
    }

    /// Makes the guest's socket of a connection.
    fn accepted(
        ctx: &TcpCtx,
        family: IpAddressFamily,
        listener: &AnyListener,
        kept: Option<&SharedKept>,
        (endpoint, told): Arrived,
    ) -> Result<(Self, Arc<Endpoint>)> {
        match kept {
            Some(_) if told.as_ref().is_some_and(Told::is_own) => {}
            Some(kept) => accept_from_host(ctx, &endpoint, kept),
            None => let_inherit(listener, &endpoint, family)?,
        }
        let state = SocketState::Connected(Arc::clone(&endpoint));
        let socket = Self {
            told: told.map(Arc::new),
            ..Self::with(ctx, family, state)
        };
        Ok((socket, endpoint))
    }
}

fn let_inherit(listener: &AnyListener, endpoint: &Endpoint, family: IpAddressFamily) -> Result<()> {
    match listener.system().map(Listener::listening) {
        Some(listening) if !listening.is_unix() => {
            option::inherit(&listening.options(), &endpoint.options(), family)
        }
        Some(_) | None => Ok(()),
    }
}

/// Makes a connection that the host has accepted the guest's.
fn accept_from_host(ctx: &TcpCtx, endpoint: &Endpoint, kept: &SharedKept) {
    if let Some(account) = ctx.account() {
        endpoint.charge_to(account);
    }
    endpoint.leave_end_to_guest();
    if !endpoint.plain().is_unix() {
        let applied = kept.get().apply(&endpoint.options(), endpoint.family());
        // The peer may be gone, which the guest finds out otherwise.
        if let Err(error) = applied {
            tracing::debug!("options of a listening socket are not those of a connection: {error}");
        }
    }
}

/// Accepts one connection after the other, for a guest that is told of an error by a socket which it has closed. It
/// shares the listening socket with the resource, which the guest may have dropped.
#[derive(Debug)]
pub(crate) struct Acceptor {
    listener: AnyListener,
    ctx: TcpCtx,
    family: IpAddressFamily,
    kept: Option<SharedKept>,
    /// Not before this is over.
    pause: Option<Pin<Box<Sleep>>>,
}

impl Acceptor {
    /// Returns what accepts from a listening socket.
    pub fn of(socket: &TcpSocket) -> Option<Self> {
        Some(Self {
            listener: socket.listener()?.clone(),
            ctx: socket.ctx.share(),
            family: socket.family,
            kept: socket.kept.clone(),
            pause: None,
        })
    }

    /// Waits for the next connection, or for an error of accept: a socket on which every call fails with it.
    pub fn poll_accept(&mut self, cx: &mut Context<'_>) -> Poll<TcpSocket> {
        ready!(self.poll_pause(cx));
        loop {
            match ready!(self.listener.poll_accept(cx)).and_then(|accepted| self.socket(accepted)) {
                Ok(socket) => return Poll::Ready(socket),
                // Another one has it.
                Err(ErrorCode::WouldBlock) => {}
                Err(error) => return Poll::Ready(self.failed(error)),
            }
        }
    }

    fn socket(&self, accepted: Arrived) -> Result<TcpSocket> {
        let kept = self.kept.as_ref();
        let accepted = TcpSocket::accepted(&self.ctx, self.family, &self.listener, kept, accepted)?;
        Ok(accepted.0)
    }

    /// Waits until there is a connection, or an error.
    pub fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        ready!(self.poll_pause(cx));
        self.listener.poll_ready(cx)
    }

    fn poll_pause(&mut self, cx: &mut Context<'_>) -> Poll<()> {
        if let Some(pause) = &mut self.pause {
            ready!(pause.as_mut().poll(cx));
            self.pause = None;
        }
        Poll::Ready(())
    }

    fn failed(&mut self, error: ErrorCode) -> TcpSocket {
        tracing::debug!("a connection cannot be accepted: {error}");
        // Otherwise that one connection has ended.
        if !matches!(
            error,
            ErrorCode::ConnectionAborted | ErrorCode::ConnectionReset
        ) {
            self.pause = Some(Box::pin(sleep(PAUSE)));
        }
        TcpSocket::with(&self.ctx, self.family, SocketState::Closed(error))
    }
}

impl Drop for Acceptor {
    fn drop(&mut self) {
        self.listener.stop();
    }
}
