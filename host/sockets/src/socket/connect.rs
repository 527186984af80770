//! `start-connect` and `finish-connect`.
//!
//! A request that is refused at once changes nothing. Any later failure, a denial by the host included, is
//! reported by `finish-connect` and closes the socket.

use super::option::SharedKept;
use super::tcp::{Result, SocketState, TcpSocket};
use super::unconnected::{Unconnected, Virtual};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::listen::{OwnAddresses, OwnConnection, Port, Told};
use crate::policy::{TcpCtx, Verdict, check_remote};
use crate::sys::{self, code_of_connect};
use crate::transport::Plain;
use socket2::Socket;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Waker};

impl TcpSocket {
    pub(crate) fn start_connect(&mut self, remote: SocketAddr) -> Result<()> {
        if !matches!(self.state, SocketState::Unbound(_) | SocketState::Bound(_)) {
            return Err(self.cannot_start());
        }
        check_remote(remote, self.family)?;
        if self.is_own(remote) {
            return self.connect_to_own(remote);
        }
        let ctx = self.ctx.share();
        let verdict = ctx.check_connect(remote);
        if let Verdict::Refused = verdict {
            self.set_state(SocketState::ConnectFailed(ErrorCode::AccessDenied));
            return Ok(());
        }
        self.leave_virtual()?;
        self.advance(|state| match state {
            SocketState::Unbound(Unconnected::System(socket))
            | SocketState::Bound(Unconnected::System(socket)) => {
                start(&ctx, socket, remote, verdict)
            }
            other => other,
        });
        Ok(())
    }

    fn unconnected(&mut self) -> Option<&mut Virtual> {
        match &mut self.state {
            SocketState::Unbound(Unconnected::Virtual(socket))
            | SocketState::Bound(Unconnected::Virtual(socket)) => Some(socket),
            _ => None,
        }
    }

    /// Returns whether this is an address on which the guest listens with a virtual socket.
    fn is_own(&mut self, remote: SocketAddr) -> bool {
        self.unconnected()
            .is_some_and(|socket| socket.incoming().listens_at(remote))
    }

    /// Connects a virtual socket to one that its guest listens on.
    fn connect_to_own(&mut self, remote: SocketAddr) -> Result<()> {
        let ctx = self.ctx.share();
        let socket = self.unconnected().ok_or(ErrorCode::InvalidState)?;
        let charges = [ctx.charge_descriptor()?, ctx.charge_descriptor()?];
        let (own, other) = sys::pair()?;
        let stream = Plain::unix(own);
        stream.register()?;
        let port = socket.port_towards(remote)?;
        let local = own_address(&port, remote);
        let [charge, charge_of_other] = charges;
        let other = Endpoint::own(Plain::unix(other), local);
        let connection = OwnConnection {
            endpoint: Arc::new(other.charged(ctx.account(), charge_of_other)),
            addresses: OwnAddresses {
                local: remote,
                remote: local,
                _port: None,
            },
        };
        let connected = socket.incoming().connect(remote, connection);
        self.charge = charge;
        self.kept = None;
        self.told = Some(Arc::new(Told::Own(OwnAddresses {
            local,
            remote,
            _port: Some(port),
        })));
        self.set_state(match connected {
            Ok(()) => SocketState::ConnectInProgress(stream, remote),
            Err(code) => SocketState::ConnectFailed(code),
        });
        Ok(())
    }

    /// Replaces a virtual socket by one of the operating system.
    fn leave_virtual(&mut self) -> Result<()> {
        let (SocketState::Unbound(Unconnected::Virtual(socket))
        | SocketState::Bound(Unconnected::Virtual(socket))) = &self.state
        else {
            return Ok(());
        };
        let kept = self.kept.as_ref().map(SharedKept::get).unwrap_or_default();
        let (socket, charge) = socket.open(&self.ctx, self.family, kept)?;
        self.charge = charge;
        self.kept = None;
        self.state = SocketState::Unbound(Unconnected::System(socket));
        Ok(())
    }

    /// Starts to connect once it is known whether the address is allowed.
    pub(crate) fn connect_if_checked(&mut self) {
        let SocketState::ConnectChecked(_, remote, check) = &self.state else {
            return;
        };
        let Some(allowed) = check.outcome() else {
            return;
        };
        let verdict = match allowed || self.ctx.policy_allows_connect(*remote) {
            true => Verdict::Allowed,
            false => Verdict::Refused,
        };
        let ctx = self.ctx.share();
        self.advance(|state| match state {
            SocketState::ConnectChecked(socket, remote, _) => start(&ctx, socket, remote, verdict),
            other => other,
        });
    }

    pub(crate) fn finish_connect(&mut self) -> Result<Arc<Endpoint>> {
        self.connect_if_checked();
        let is_over = self.fail_if_failed();
        match self.take() {
            SocketState::ConnectInProgress(stream, remote) if is_over => {
                let endpoint = match self.told.as_deref().is_some_and(Told::is_own) {
                    true => Endpoint::own(stream, remote),
                    false => Endpoint::new(stream, remote),
                };
                let endpoint = Arc::new(endpoint.charged(self.ctx.account(), self.charge.take()));
                self.state = SocketState::Connected(Arc::clone(&endpoint));
                Ok(endpoint)
            }
            SocketState::ConnectFailed(code) => Err(self.close(code)),
            other => {
                let is_in_progress = matches!(
                    other,
                    SocketState::ConnectInProgress(..) | SocketState::ConnectChecked(..)
                );
                self.state = other;
                Err(match is_in_progress {
                    true => ErrorCode::WouldBlock,
                    false => ErrorCode::NotInProgress,
                })
            }
        }
    }

    /// Returns whether a connect in progress has ended. If it failed, the socket's state changes to
    /// `ConnectFailed`.
    pub(crate) fn fail_if_failed(&mut self) -> bool {
        let SocketState::ConnectInProgress(stream, _) = &self.state else {
            return false;
        };
        let mut nobody = Context::from_waker(Waker::noop());
        if stream.poll_writable(&mut nobody).is_pending() {
            return false;
        }
        let failed = stream.options().take_error().unwrap_or_else(Some);
        if let Some(error) = failed {
            self.set_state(SocketState::ConnectFailed(code_of_connect(&error)));
        }
        true
    }
}

/// Returns the address from which a socket with this port connects to a loopback address.
fn own_address(port: &Port, remote: SocketAddr) -> SocketAddr {
    let address = port.address();
    match address.ip().is_unspecified() {
        true => SocketAddr::new(remote.ip(), address.port()),
        false => address,
    }
}

fn start(ctx: &TcpCtx, socket: Socket, remote: SocketAddr, verdict: Verdict) -> SocketState {
    match verdict {
        Verdict::Allowed => match connect(socket, remote) {
            Ok(stream) => {
                ctx.connects(remote, || sys::local_address(&stream.options()));
                SocketState::ConnectInProgress(stream, remote)
            }
            Err(error) => SocketState::ConnectFailed(code_of_connect(&error)),
        },
        Verdict::Refused => SocketState::ConnectFailed(ErrorCode::AccessDenied),
        Verdict::Unknown(check) => SocketState::ConnectChecked(socket, remote, check),
    }
}

/// Starts to connect. The socket becomes writable when that has succeeded or failed.
fn connect(socket: Socket, remote: SocketAddr) -> io::Result<Plain> {
    match socket.connect(&remote.into()) {
        Err(error) if !sys::is_connecting(&error) => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let stream = Plain::tcp(socket);
    stream.register()?;
    Ok(stream)
}
