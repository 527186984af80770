//! A socket that is neither listening nor connected: one of the operating system, or a virtual one.

use super::open;
use super::option::Kept;
use crate::error::ErrorCode;
use crate::listen::{Incoming, Port};
use crate::policy::{Charge, IpAddressFamily, TcpCtx};
use crate::sys::{self, code_of_bind};
use socket2::{SockRef, Socket};
use std::net::SocketAddr;

#[derive(Debug)]
pub(super) enum Unconnected {
    System(Socket),
    Virtual(Virtual),
}

/// A socket that is not one of the operating system before it connects. What it listens for comes from the host.
#[derive(Debug)]
pub(super) struct Virtual {
    incoming: Incoming,
    /// What it is bound to.
    port: Option<Port>,
}

impl Virtual {
    pub fn new(incoming: &Incoming) -> Self {
        Self {
            incoming: incoming.clone(),
            port: None,
        }
    }

    pub fn bind(&mut self, address: SocketAddr) -> Result<(), ErrorCode> {
        self.port = Some(self.incoming.bind(address)?);
        Ok(())
    }

    pub fn into_port(self) -> Option<Port> {
        self.port
    }

    pub fn incoming(&self) -> &Incoming {
        &self.incoming
    }

    /// Returns the port that a connection to this loopback address comes from: the one that the socket is bound to, or
    /// any.
    pub fn port_towards(&mut self, remote: SocketAddr) -> Result<Port, ErrorCode> {
        match self.port.take() {
            Some(port) => Ok(port),
            None => self.incoming.bind(SocketAddr::new(remote.ip(), 0)),
        }
    }

    fn address(&self) -> Result<SocketAddr, ErrorCode> {
        let port = self.port.as_ref().ok_or(ErrorCode::InvalidState)?;
        Ok(port.address())
    }

    /// Opens a socket of the operating system in its place, in order to connect. Returns it with what is charged for
    /// its descriptor. If the guest has bound an address, it has to be allowed to.
    pub fn open(
        &self,
        ctx: &TcpCtx,
        family: IpAddressFamily,
        kept: Kept,
    ) -> Result<(Socket, Option<Charge>), ErrorCode> {
        let charge = ctx.charge_descriptor()?;
        let socket = open::create(ctx.tcp_options(), family)?;
        kept.apply(&socket, family)?;
        if let Some(address) = self.port.as_ref().and_then(Port::asked) {
            if !ctx.allows_bind(address) {
                return Err(ErrorCode::AccessDenied);
            }
            let bound = open::bind(&socket, ctx.tcp_options(), address);
            bound.map_err(|error| code_of_bind(&error))?;
        }
        Ok((socket, charge))
    }
}

impl Unconnected {
    pub fn system(&self) -> Option<&Socket> {
        match self {
            Self::System(socket) => Some(socket),
            Self::Virtual(_) => None,
        }
    }

    pub fn local_address(&self) -> Result<SocketAddr, ErrorCode> {
        match self {
            Self::System(socket) => Ok(sys::local_address(&SockRef::from(socket))?),
            Self::Virtual(socket) => socket.address(),
        }
    }
}
