//! `start-connect` and `finish-connect`.
//!
//! What the guest asks for may be refused at once, and then nothing has happened. All that fails after
//! that, the host's permission included, is what `finish-connect` says, and closes the socket.

use super::tcp::{Result, State, TcpSocket};
use crate::policy::address;
use crate::policy::destinations::Verdict;
use crate::sys::errno as errors;
use crate::transport::plain::Plain;
use crate::{Endpoint, Input, Output, TcpCtx};
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode;

impl TcpSocket {
    pub fn start_connect(&mut self, remote: SocketAddr) -> Result<()> {
        if !matches!(self.state, State::Unbound(_) | State::Bound(_)) {
            return Err(self.cannot_start());
        }
        address::check_remote(remote, self.family)?;
        let ctx = self.ctx.clone();
        let verdict = ctx.check_connect(remote);
        self.advance(|state| match state {
            State::Unbound(socket) | State::Bound(socket) => start(&ctx, socket, remote, verdict),
            other => other,
        });
        Ok(())
    }

    /// Connect, if it has become known whether the address is allowed.
    pub(crate) fn connect_if_checked(&mut self) {
        let State::ConnectChecked(_, remote, check) = &self.state else {
            return;
        };
        let Some(allowed) = check.outcome() else {
            return;
        };
        let verdict = match allowed || self.ctx.policy_allows_connect(*remote) {
            true => Verdict::Allowed,
            false => Verdict::Refused,
        };
        let ctx = self.ctx.clone();
        self.advance(|state| match state {
            State::ConnectChecked(socket, remote, _) => start(&ctx, socket, remote, verdict),
            other => other,
        });
    }

    pub fn finish_connect(&mut self) -> Result<(Input, Output)> {
        self.connect_if_checked();
        let is_over = self.fail_if_failed();
        match self.take() {
            State::ConnectInProgress(stream, remote) if is_over => {
                let endpoint = Arc::new(Endpoint::new(stream, remote));
                self.state = State::Connected(Arc::clone(&endpoint));
                Ok((Input::new(Arc::clone(&endpoint)), Output::new(endpoint)))
            }
            State::ConnectFailed(code) => Err(self.close(code)),
            other => {
                let is_in_progress = matches!(
                    other,
                    State::ConnectInProgress(..) | State::ConnectChecked(..)
                );
                self.state = other;
                Err(match is_in_progress {
                    true => ErrorCode::WouldBlock,
                    false => ErrorCode::NotInProgress,
                })
            }
        }
    }

    /// Whether a connect that is in progress has come to an end. If it has failed, that is its state.
    pub(crate) fn fail_if_failed(&mut self) -> bool {
        let State::ConnectInProgress(stream, _) = &self.state else {
            return false;
        };
        let mut nobody = Context::from_waker(Waker::noop());
        if stream.poll_writable(&mut nobody).is_pending() {
            return false;
        }
        let failed = stream.options().take_error().unwrap_or_else(Some);
        if let Some(error) = failed {
            self.state = State::ConnectFailed(errors::code_of_connect(&error));
        }
        true
    }
}

fn start(ctx: &TcpCtx, socket: Socket, remote: SocketAddr, verdict: Verdict) -> State {
    match verdict {
        Verdict::Allowed => match connect(socket, remote) {
            Ok(stream) => {
                ctx.connects(&stream.options(), remote);
                State::ConnectInProgress(stream, remote)
            }
            Err(error) => State::ConnectFailed(errors::code_of_connect(&error)),
        },
        Verdict::Refused => State::ConnectFailed(ErrorCode::AccessDenied),
        Verdict::Unknown(check) => State::ConnectChecked(socket, remote, check),
    }
}

/// Begin to connect. When the socket is writable, it has succeeded or failed.
fn connect(socket: Socket, remote: SocketAddr) -> io::Result<Plain> {
    match socket.connect(&remote.into()) {
        Err(error) if !is_in_progress(&error) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let stream = Plain::tcp(socket);
    stream.register()?;
    Ok(stream)
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || rustix::io::Errno::from_io_error(error) == Some(rustix::io::Errno::INPROGRESS)
}
