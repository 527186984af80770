//! The resource `tcp-socket`: the state machine of wasi-sockets' "Operational semantics of WASI TCP
//! sockets".
//!
//! A call that its state does not allow fails and changes nothing. Binding and listening are complete when
//! they are started; their `finish` functions only change the state.

use super::open;
use super::option::SharedKept;
use super::streams::Streams;
use super::unconnected::{Unconnected, Virtual};
use crate::connection::Endpoint;
use crate::error::ErrorCode;
use crate::listen::{AnyListener, Incoming, Listener, Listening, Told};
use crate::policy::{Charge, Check, Claim, IpAddressFamily, TcpCtx, check_local};
use crate::sys::{self, code_of_bind};
use crate::transport::Plain;
use rustix::net::Shutdown;
use socket2::{SockRef, Socket};
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;

pub(super) type Result<T> = std::result::Result<T, ErrorCode>;

/// Default length of the accept queue: the maximum of Linux (`net.core.somaxconn`), unless that was changed.
const DEFAULT_BACKLOG: i32 = 4096;

/// A TCP socket of a guest.
#[derive(Debug)]
pub struct TcpSocket {
    pub(super) state: SocketState,
    pub(super) family: IpAddressFamily,
    pub(super) backlog: i32,
    pub(super) ctx: TcpCtx,
    /// Records, until it is dropped, that the system has chosen the port.
    pub(super) _chosen: Option<Claim>,
    /// What is charged for its descriptor, until a listener or a connection has it.
    pub(super) charge: Option<Charge>,
    /// The options of a virtual socket, until it connects.
    pub(super) kept: Option<SharedKept>,
    /// What the guest is told of a connection of a virtual socket.
    pub(super) told: Option<Arc<Told>>,
    /// The streams of a connection, as far as a guest of WASI 0.3 has taken them.
    pub(super) streams: Streams,
}

#[derive(Debug)]
pub(super) enum SocketState {
    Unbound(Unconnected),
    BindInProgress(Unconnected),
    Bound(Unconnected),
    ListenInProgress(AnyListener),
    Listening(AnyListener),
    /// Connect requested; the check of the address is in progress.
    ConnectChecked(Socket, SocketAddr, Check),
    ConnectInProgress(Plain, SocketAddr),
    /// The connect has failed, which the guest has not been told yet.
    ConnectFailed(ErrorCode),
    Connected(Arc<Endpoint>),
    /// Closed by this failure, which getters and options report: C libraries treat `invalid-state` as a fault
    /// of their own.
    Closed(ErrorCode),
}

impl TcpSocket {
    /// Creates an unbound socket: a virtual one, if the guest's connections come from the host.
    pub(crate) fn new(
        ctx: &TcpCtx,
        family: IpAddressFamily,
        incoming: Option<&Incoming>,
    ) -> Result<Self> {
        if let Some(incoming) = incoming {
            let state = SocketState::Unbound(Unconnected::Virtual(Virtual::new(incoming)));
            return Ok(Self {
                kept: Some(SharedKept::default()),
                ..Self::with(ctx, family, state)
            });
        }
        if !ctx.allows_sockets() {
            return Err(ErrorCode::AccessDenied);
        }
        let charge = ctx.charge_descriptor()?;
        let socket = open::create(ctx.tcp_options(), family)?;
        let state = SocketState::Unbound(Unconnected::System(socket));
        Ok(Self {
            charge,
            ..Self::with(ctx, family, state)
        })
    }

    /// Wraps a socket that listens already. The context's options are set on it, and so on the connections
    /// that it accepts.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn from_tcp_listener(ctx: &TcpCtx, listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        ctx.tcp_options().apply_to_listener(&listener)?;
        Self::adopt(ctx, Listening::tcp(listener, ctx)?)
    }

    /// Wraps a Unix socket that listens. The guest sees 127.0.0.1 with port 0 as the address of both sides;
    /// TCP options are `not-supported`.
    ///
    /// # Errors
    /// What the operating system reports.
    pub fn from_unix_listener(ctx: &TcpCtx, listener: impl Into<Socket>) -> io::Result<Self> {
        let listener = listener.into();
        listener.set_nonblocking(true)?;
        Self::adopt(ctx, Listening::unix(listener, ctx)?)
    }

    fn adopt(ctx: &TcpCtx, listening: Listening) -> io::Result<Self> {
        let family = IpAddressFamily::of(listening.local_address()?);
        let listener = Arc::new(Listener::new(listening, ctx, None));
        let state = SocketState::Listening(AnyListener::System(listener));
        Ok(Self::with(ctx, family, state))
    }

    /// Wraps a connection. It is charged to the context's account, if there is one.
    pub fn from_endpoint(ctx: &TcpCtx, endpoint: Arc<Endpoint>) -> Self {
        if let Some(account) = ctx.account() {
            endpoint.charge_to(account);
        }
        let family = endpoint.family();
        Self::with(ctx, family, SocketState::Connected(endpoint))
    }

    pub(super) fn with(ctx: &TcpCtx, family: IpAddressFamily, state: SocketState) -> Self {
        Self {
            state,
            family,
            backlog: DEFAULT_BACKLOG,
            ctx: ctx.share(),
            _chosen: None,
            charge: None,
            kept: None,
            told: None,
            streams: Streams::default(),
        }
    }

    /// Returns the connection of a connected socket.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match &self.state {
            SocketState::Connected(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// Takes the connection away from a guest that has not dropped it: the guest's socket is closed from here
    /// on.
    pub(crate) fn revoke(&mut self) {
        self.close(ErrorCode::ConnectionAborted);
    }

    pub(crate) fn start_bind(&mut self, local: SocketAddr) -> Result<()> {
        let SocketState::Unbound(socket) = &mut self.state else {
            return Err(self.cannot_start());
        };
        check_local(local, self.family)?;
        match socket {
            Unconnected::Virtual(socket) => socket.bind(local)?,
            Unconnected::System(socket) => self._chosen = bind(&self.ctx, socket, local)?,
        }
        self.advance(|state| match state {
            SocketState::Unbound(socket) => SocketState::BindInProgress(socket),
            other => other,
        });
        Ok(())
    }

    pub(crate) fn finish_bind(&mut self) -> Result<()> {
        if !matches!(self.state, SocketState::BindInProgress(_)) {
            return Err(ErrorCode::NotInProgress);
        }
        self.advance(|state| match state {
            SocketState::BindInProgress(socket) => SocketState::Bound(socket),
            other => other,
        });
        Ok(())
    }

    /// Binds in one step.
    pub(crate) fn bind(&mut self, local: SocketAddr) -> Result<()> {
        self.start_bind(local)?;
        self.finish_bind()
    }

    /// Listens in one step. A socket that is not bound is bound to any address and a free port before.
    pub(crate) fn listen_now(&mut self) -> Result<()> {
        if let SocketState::Unbound(_) = self.state {
            self.bind(self.family.unspecified())?;
        }
        self.start_listen()?;
        self.finish_listen()
    }

    /// Starts to listen. From here on, a failure closes the socket.
    pub(crate) fn start_listen(&mut self) -> Result<()> {
        if !matches!(self.state, SocketState::Bound(_)) {
            return Err(self.cannot_start());
        }
        let SocketState::Bound(socket) = self.take() else {
            return Err(ErrorCode::InvalidState);
        };
        let listener = self.listen(socket).map_err(|code| self.close(code))?;
        self.state = SocketState::ListenInProgress(listener);
        Ok(())
    }

    fn listen(&mut self, socket: Unconnected) -> Result<AnyListener> {
        let socket = match socket {
            Unconnected::System(socket) => socket,
            Unconnected::Virtual(socket) => {
                let port = socket.into_port().ok_or(ErrorCode::InvalidState)?;
                return Ok(AnyListener::Virtual(Arc::new(port.listen())));
            }
        };
        let options = SockRef::from(&socket);
        if !self.ctx.allows_listen(sys::local_address(&options)?) {
            return Err(ErrorCode::AccessDenied);
        }
        let backlog = self.ctx.backlog(self.backlog);
        open::start_listening(&socket, self.ctx.tcp_options(), backlog)?;
        let listening = Listening::tcp(socket, &self.ctx)?;
        let listener = Listener::new(listening, &self.ctx, self.charge.take());
        Ok(AnyListener::System(Arc::new(listener)))
    }

    pub(crate) fn finish_listen(&mut self) -> Result<()> {
        if !matches!(self.state, SocketState::ListenInProgress(_)) {
            return Err(ErrorCode::NotInProgress);
        }
        self.advance(|state| match state {
            SocketState::ListenInProgress(listener) => SocketState::Listening(listener),
            other => other,
        });
        Ok(())
    }

    /// Keeps connections that arrive at a listening socket from waking the event loop, until the socket is polled
    /// again: other processes accept them meanwhile.
    pub fn deregister(&self) {
        if let Some(listener) = self.system_listener() {
            listener.deregister();
        }
    }

    /// Makes a listening socket leave connections in the kernel's queue until its guest accepts them. By
    /// default, a check for readiness accepts one ahead. This is for sockets that other processes accept from,
    /// too: its pollables may be ready although another process was faster.
    pub fn accept_on_demand(&self) {
        if let Some(listener) = self.system_listener() {
            listener.accept_on_demand();
        }
    }

    /// Stops new connections to a listening socket, and leaves the queue to the other processes if it is
    /// `shared` with them. Connections in the queue can still be accepted.
    pub fn end_listening(&self, shared: bool) {
        if let Some(listener) = self.system_listener() {
            listener.end(shared);
        }
    }

    /// Returns whether a listener that [ends](Self::end_listening) has a handshake in progress that began
    /// before.
    pub fn expects_more(&self) -> bool {
        self.system_listener().is_some_and(Listener::expects_more)
    }

    /// Returns, for a listener that [ends](Self::end_listening), whether the last attempt to accept found the
    /// queue empty, and resets that.
    pub fn found_nothing(&self) -> Option<bool> {
        self.system_listener()?.found_nothing()
    }

    /// Handles the drop of the socket by its guest.
    pub(crate) fn dropped(&self) {
        if let Some(endpoint) = self.endpoint() {
            endpoint.socket_dropped();
        }
    }

    pub(crate) fn shutdown(&self, how: Shutdown) -> Result<()> {
        let endpoint = self.endpoint().ok_or(ErrorCode::InvalidState)?;
        if matches!(how, Shutdown::Read | Shutdown::Both) {
            endpoint.end_receiving();
        }
        if matches!(how, Shutdown::Write | Shutdown::Both) {
            endpoint.end_sending();
        }
        Ok(())
    }

    pub(crate) fn local_address(&self) -> Result<SocketAddr> {
        match &self.state {
            SocketState::Unbound(_) | SocketState::BindInProgress(_) => {
                return Err(ErrorCode::InvalidState);
            }
            SocketState::ConnectFailed(code) | SocketState::Closed(code) => return Err(*code),
            SocketState::Bound(socket) => return socket.local_address(),
            SocketState::ConnectChecked(socket, ..) => sys::local_address(&SockRef::from(socket)),
            SocketState::ListenInProgress(listener) | SocketState::Listening(listener) => {
                listener.local_address()
            }
            SocketState::ConnectInProgress(stream, _) => match self.told.as_deref() {
                Some(Told::Own(addresses)) => Ok(addresses.local),
                Some(Told::OfHost(_)) | None => sys::local_address(&stream.options()),
            },
            SocketState::Connected(endpoint) => match &self.told {
                Some(told) => told.local(endpoint),
                None => endpoint.local_address(),
            },
        }
        .map_err(ErrorCode::from)
    }

    pub(crate) fn remote_address(&self) -> Result<SocketAddr> {
        match &self.state {
            SocketState::Connected(endpoint) => Ok(match &self.told {
                Some(told) => told.remote(endpoint),
                None => endpoint.peer_address(),
            }),
            SocketState::ConnectFailed(code) | SocketState::Closed(code) => Err(*code),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.listener().is_some()
    }

    /// Returns the listener of a listening socket.
    pub(crate) fn listener(&self) -> Option<&AnyListener> {
        match &self.state {
            SocketState::Listening(listener) => Some(listener),
            _ => None,
        }
    }

    /// Returns whether it is no socket of the operating system.
    pub(crate) fn is_virtual(&self) -> bool {
        self.kept.is_some()
    }

    /// Returns whether a connect is in progress.
    pub(crate) fn is_connecting(&self) -> bool {
        matches!(
            self.state,
            SocketState::ConnectChecked(..) | SocketState::ConnectInProgress(..)
        )
    }

    pub(super) fn system_listener(&self) -> Option<&Listener> {
        self.listener()?.system()
    }

    pub(crate) fn family(&self) -> IpAddressFamily {
        self.family
    }

    pub(crate) fn set_backlog(&mut self, value: u64) -> Result<()> {
        if value == 0 {
            return Err(ErrorCode::InvalidArgument);
        }
        let backlog = i32::try_from(value).unwrap_or(i32::MAX);
        match &self.state {
            SocketState::Unbound(_) | SocketState::BindInProgress(_) | SocketState::Bound(_) => {}
            SocketState::ListenInProgress(listener) | SocketState::Listening(listener) => {
                if let Some(listener) = listener.system() {
                    // Listening again changes only the backlog.
                    let options = listener.listening().options();
                    let listened = options.listen(self.ctx.backlog(backlog));
                    listened.map_err(|_| ErrorCode::NotSupported)?;
                }
            }
            SocketState::ConnectFailed(code) | SocketState::Closed(code) => return Err(*code),
            SocketState::ConnectChecked(..)
            | SocketState::ConnectInProgress(..)
            | SocketState::Connected(_) => {
                return Err(ErrorCode::InvalidState);
            }
        }
        self.backlog = backlog;
        Ok(())
    }

    /// Returns the error for starting an operation in this state.
    pub(super) fn cannot_start(&self) -> ErrorCode {
        match self.state {
            SocketState::BindInProgress(_)
            | SocketState::ListenInProgress(_)
            | SocketState::ConnectChecked(..)
            | SocketState::ConnectInProgress(..)
            | SocketState::ConnectFailed(_) => ErrorCode::ConcurrencyConflict,
            SocketState::Unbound(_)
            | SocketState::Bound(_)
            | SocketState::Listening(_)
            | SocketState::Connected(_)
            | SocketState::Closed(_) => ErrorCode::InvalidState,
        }
    }

    pub(super) fn take(&mut self) -> SocketState {
        std::mem::replace(&mut self.state, SocketState::Closed(ErrorCode::Unknown))
    }

    /// Closes the socket with this failure.
    pub(super) fn close(&mut self, code: ErrorCode) -> ErrorCode {
        self.set_state(SocketState::Closed(code));
        code
    }

    pub(super) fn advance(&mut self, next: impl FnOnce(SocketState) -> SocketState) {
        let state = next(self.take());
        self.set_state(state);
    }

    pub(super) fn set_state(&mut self, state: SocketState) {
        self.state = state;
        if let SocketState::ConnectFailed(_) | SocketState::Closed(_) = self.state {
            self.charge = None;
        }
    }
}

/// Binds a socket of the operating system, if the guest may. Returns a record of a port that the system has chosen.
fn bind(ctx: &TcpCtx, socket: &Socket, local: SocketAddr) -> Result<Option<Claim>> {
    if !ctx.allows_bind(local) {
        return Err(ErrorCode::AccessDenied);
    }
    open::bind(socket, ctx.tcp_options(), local)
        .inspect_err(|error| ctx.bind_failed(local, error))
        .map_err(|error| code_of_bind(&error))?;
    Ok(ctx.bound(local, || sys::local_address(&SockRef::from(socket))))
}
