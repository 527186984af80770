//! The resource `tcp-socket`: the state machine of wasi-sockets' "Operational semantics of WASI TCP
//! sockets".
//!
//! A call in a state that it is not for fails and changes nothing. Binding and listening are done as
//! they are started: to finish them just says so.

use crate::listen::listener::Listener;
use crate::listen::listening::Listening;
use crate::policy::address;
use crate::policy::destinations::Check;
use crate::policy::own::Claim;
use crate::socket::option;
use crate::sys::errno as errors;
use crate::transport::plain::Plain;
use crate::{Endpoint, Input, Output, TcpCtx};
use rustix::net::Shutdown;
use socket2::{Domain, Protocol, SockRef, Socket, Type};
use std::future::poll_fn;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::task::{Context, Poll, Waker};
use wasmtime_wasi::async_trait;
use wasmtime_wasi::p2::Pollable;
use wasmtime_wasi::p2::bindings::sockets::network::{ErrorCode, IpAddressFamily};

pub(super) type Result<T> = std::result::Result<T, ErrorCode>;

/// The connections that the kernel may hold if the guest does not say how many: what it caps at, on
/// Linux, unless it was told otherwise.
const DEFAULT_BACKLOG: i32 = 4096;

/// A TCP socket of a guest.
#[derive(Debug)]
pub struct TcpSocket {
    pub(super) state: State,
    pub(super) family: IpAddressFamily,
    backlog: i32,
    pub(super) ctx: TcpCtx,
    /// Says, as long as it is there, that the system has chosen the port.
    _chosen: Option<Claim>,
}

#[derive(Debug)]
pub(super) enum State {
    Unbound(Socket),
    BindInProgress(Socket),
    Bound(Socket),
    ListenInProgress(Arc<Listener>),
    Listening(Arc<Listener>),
    /// Connecting, once it is known that the address is allowed.
    ConnectChecked(Socket, SocketAddr, Check),
    ConnectInProgress(Plain, SocketAddr),
    /// Connecting has failed, and the guest does not know yet.
    ConnectFailed(ErrorCode),
    Connected(Arc<Endpoint>),
    /// Closed by this failure, which is what getters and options say: a C library takes
    /// `invalid-state` for a fault of its own.
    Closed(ErrorCode),
}

impl TcpSocket {
    /// A socket that is not bound.
    pub(crate) fn new(ctx: &TcpCtx, family: IpAddressFamily) -> Result<Self> {
        if !ctx.allows_sockets() {
            return Err(ErrorCode::AccessDenied);
        }
        let socket = new_socket(ctx, family).map_err(|error| errors::code_of(&error))?;
        Ok(Self::with(ctx, family, State::Unbound(socket)))
    }

    /// One that listens already. What the context's options say is set on it, and so for what it
    /// accepts.
    ///
    /// # Errors
    /// What the operating system says.
    pub fn from_tcp_listener(ctx: &TcpCtx, listener: std::net::TcpListener) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        let socket = SockRef::from(&listener);
        ctx.rules.options.apply_to_new(&socket)?;
        ctx.rules.options.apply_before_listen(&socket)?;
        Self::adopt(ctx, Listening::tcp(listener)?)
    }

    /// One whose peers connect to a Unix socket. A guest is told that either side is at port 0 of
    /// 127.0.0.1; options of TCP are `not-supported`.
    ///
    /// # Errors
    /// What the operating system says.
    #[cfg(unix)]
    pub fn from_unix_listener(
        ctx: &TcpCtx,
        listener: std::os::unix::net::UnixListener,
    ) -> io::Result<Self> {
        listener.set_nonblocking(true)?;
        Self::adopt(ctx, Listening::unix(listener)?)
    }

    fn adopt(ctx: &TcpCtx, listening: Listening) -> io::Result<Self> {
        let family = listening.family()?;
        let state = State::Listening(Arc::new(Listener::new(listening, ctx)));
        Ok(Self::with(ctx, family, state))
    }

    /// One that is connected.
    pub fn from_endpoint(ctx: &TcpCtx, endpoint: Arc<Endpoint>) -> Self {
        let family = endpoint.family();
        Self::with(ctx, family, State::Connected(endpoint))
    }

    fn with(ctx: &TcpCtx, family: IpAddressFamily, state: State) -> Self {
        Self {
            state,
            family,
            backlog: DEFAULT_BACKLOG,
            ctx: ctx.clone(),
            _chosen: None,
        }
    }

    /// The connection of one that is connected.
    pub fn endpoint(&self) -> Option<&Arc<Endpoint>> {
        match &self.state {
            State::Connected(endpoint) => Some(endpoint),
            _ => None,
        }
    }

    /// Take the connection away from whoever has not dropped it: to them, it is closed.
    pub(crate) fn revoke(&mut self) {
        self.state = State::Closed(ErrorCode::ConnectionAborted);
    }

    pub(crate) fn start_bind(&mut self, local: SocketAddr) -> Result<()> {
        let State::Unbound(socket) = &self.state else {
            return Err(self.cannot_start());
        };
        address::check_local(local, self.family)?;
        if !self.ctx.allows_bind(local) {
            return Err(ErrorCode::AccessDenied);
        }
        self.ctx
            .rules
            .options
            .apply_before_bind(&SockRef::from(socket))
            .map_err(|error| errors::code_of(&error))?;
        socket
            .bind(&local.into())
            .inspect_err(|error| self.ctx.bind_failed(local, error))
            .map_err(|error| errors::code_of_bind(&error))?;
        self._chosen = self.ctx.bound(local, &SockRef::from(socket));
        self.advance(|state| match state {
            State::Unbound(socket) => State::BindInProgress(socket),
            other => other,
        });
        Ok(())
    }

    pub(crate) fn finish_bind(&mut self) -> Result<()> {
        if !matches!(self.state, State::BindInProgress(_)) {
            return Err(ErrorCode::NotInProgress);
        }
        self.advance(|state| match state {
            State::BindInProgress(socket) => State::Bound(socket),
            other => other,
        });
        Ok(())
    }

    /// From here on, a failure closes the socket.
    pub(crate) fn start_listen(&mut self) -> Result<()> {
        if !matches!(self.state, State::Bound(_)) {
            return Err(self.cannot_start());
        }
        let State::Bound(socket) = self.take() else {
            return Err(ErrorCode::InvalidState);
        };
        let listening = self.listen(socket).map_err(|code| self.close(code))?;
        self.state = State::ListenInProgress(Arc::new(Listener::new(listening, &self.ctx)));
        Ok(())
    }

    fn listen(&self, socket: Socket) -> Result<Listening> {
        let options = SockRef::from(&socket);
        let listen = || {
            let local = option::local_address(&options)?;
            if !self.ctx.allows_listen(local) {
                return Ok(None);
            }
            self.ctx.rules.options.apply_before_listen(&options)?;
            socket.listen(self.ctx.backlog(self.backlog))?;
            Ok(Some(()))
        };
        listen()
            .map_err(|error: io::Error| errors::code_of(&error))?
            .ok_or(ErrorCode::AccessDenied)?;
        Listening::tcp(socket).map_err(|error| errors::code_of(&error))
    }

    pub(crate) fn finish_listen(&mut self) -> Result<()> {
        if !matches!(self.state, State::ListenInProgress(_)) {
            return Err(ErrorCode::NotInProgress);
        }
        self.advance(|state| match state {
            State::ListenInProgress(listener) => State::Listening(listener),
            other => other,
        });
        Ok(())
    }

    pub(crate) fn accept(&mut self) -> Result<(Self, Input, Output)> {
        let listener = self.listener().ok_or(ErrorCode::InvalidState)?;
        let mut nobody = Context::from_waker(Waker::noop());
        let endpoint = match listener.poll_accept(&mut nobody) {
            Poll::Pending => return Err(ErrorCode::WouldBlock),
            Poll::Ready(result) => Arc::new(result?),
        };
        #[cfg(not(target_os = "linux"))]
        listener.listening().bequeath(&endpoint, self.family)?;
        let input = Input::new(Arc::clone(&endpoint));
        let output = Output::new(Arc::clone(&endpoint));
        let socket = Self::with(&self.ctx, self.family, State::Connected(endpoint));
        Ok((socket, input, output))
    }

    /// Let no more peers connect to one that listens, and leave it to others if it is `shared` with
    /// other processes. What waits can be accepted.
    pub fn end_listening(&self, shared: bool) {
        if let Some(listener) = self.listener() {
            listener.end(shared);
        }
    }

    /// Whether somebody is about to connect to one that [ends](Self::end_listening), who came before
    /// it did.
    pub fn expects_more(&self) -> bool {
        self.listener()
            .is_some_and(|listener| listener.expects_more())
    }

    /// Of one that [ends](Self::end_listening): whether the last attempt to accept has found its queue
    /// empty. It is said once.
    pub fn found_nothing(&self) -> Option<bool> {
        self.listener()?.found_nothing()
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
            State::Unbound(_) | State::BindInProgress(_) => return Err(ErrorCode::InvalidState),
            State::ConnectFailed(code) | State::Closed(code) => return Err(*code),
            State::Bound(socket) | State::ConnectChecked(socket, ..) => {
                option::local_address(&SockRef::from(socket))
            }
            State::ListenInProgress(listener) | State::Listening(listener) => {
                listener.listening().local_address()
            }
            State::ConnectInProgress(stream, _) => option::local_address(&stream.options()),
            State::Connected(endpoint) => endpoint.local_address(),
        }
        .map_err(|error| errors::code_of(&error))
    }

    pub(crate) fn remote_address(&self) -> Result<SocketAddr> {
        match &self.state {
            State::Connected(endpoint) => Ok(endpoint.peer_address()),
            State::ConnectFailed(code) | State::Closed(code) => Err(*code),
            _ => Err(ErrorCode::InvalidState),
        }
    }

    pub(crate) fn is_listening(&self) -> bool {
        self.listener().is_some()
    }

    /// What accepts, of one that listens.
    pub(crate) fn listener(&self) -> Option<&Arc<Listener>> {
        match &self.state {
            State::Listening(listener) => Some(listener),
            _ => None,
        }
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
            State::Unbound(_) | State::BindInProgress(_) | State::Bound(_) => {}
            // To listen again just changes the backlog.
            State::ListenInProgress(listener) | State::Listening(listener) => listener
                .listening()
                .options()
                .listen(self.ctx.backlog(backlog))
                .map_err(|_| ErrorCode::NotSupported)?,
            State::ConnectFailed(code) | State::Closed(code) => return Err(*code),
            State::ConnectChecked(..) | State::ConnectInProgress(..) | State::Connected(_) => {
                return Err(ErrorCode::InvalidState);
            }
        }
        self.backlog = backlog;
        Ok(())
    }

    /// For socket options, in every state but `closed`: there, why it is.
    pub(crate) fn options(&self) -> Result<SockRef<'_>> {
        Ok(match &self.state {
            State::Unbound(socket)
            | State::BindInProgress(socket)
            | State::Bound(socket)
            | State::ConnectChecked(socket, ..) => SockRef::from(socket),
            State::ListenInProgress(listener) | State::Listening(listener) => {
                listener.listening().options()
            }
            State::ConnectInProgress(stream, _) => stream.options(),
            State::Connected(endpoint) => endpoint.options(),
            State::ConnectFailed(code) | State::Closed(code) => return Err(*code),
        })
    }

    /// Why nothing can be started in this state.
    pub(super) fn cannot_start(&self) -> ErrorCode {
        match self.state {
            State::BindInProgress(_)
            | State::ListenInProgress(_)
            | State::ConnectChecked(..)
            | State::ConnectInProgress(..)
            | State::ConnectFailed(_) => ErrorCode::ConcurrencyConflict,
            State::Unbound(_)
            | State::Bound(_)
            | State::Listening(_)
            | State::Connected(_)
            | State::Closed(_) => ErrorCode::InvalidState,
        }
    }

    pub(super) fn take(&mut self) -> State {
        std::mem::replace(&mut self.state, State::Closed(ErrorCode::Unknown))
    }

    /// This failure is the end of it.
    pub(super) fn close(&mut self, code: ErrorCode) -> ErrorCode {
        self.state = State::Closed(code);
        code
    }

    pub(super) fn advance(&mut self, next: impl FnOnce(State) -> State) {
        self.state = next(self.take());
    }
}

impl Drop for TcpSocket {
    fn drop(&mut self) {
        if let State::Connected(endpoint) = &self.state {
            endpoint.socket_dropped();
        }
    }
}

#[async_trait]
impl Pollable for TcpSocket {
    /// A connection can be accepted, or connecting has come to an end. In all other states there is
    /// nothing to wait for.
    async fn ready(&mut self) {
        if let State::ConnectChecked(_, _, check) = &self.state {
            check.done().await;
            self.connect_if_checked();
        }
        match &self.state {
            State::Listening(listener) => poll_fn(|cx| listener.poll_ready(cx)).await,
            State::ConnectInProgress(stream, _) => {
                // An error of the event loop is what `finish-connect` says.
                let _ = poll_fn(|cx| stream.poll_writable(cx)).await;
                self.fail_if_failed();
            }
            State::Unbound(_)
            | State::BindInProgress(_)
            | State::Bound(_)
            | State::ListenInProgress(_)
            | State::ConnectChecked(..)
            | State::ConnectFailed(_)
            | State::Connected(_)
            | State::Closed(_) => {
                // However often it is asked, others get their turn.
                tokio::task::coop::consume_budget().await;
            }
        }
    }
}

fn new_socket(ctx: &TcpCtx, family: IpAddressFamily) -> io::Result<Socket> {
    let domain = match family {
        IpAddressFamily::Ipv4 => Domain::IPV4,
        IpAddressFamily::Ipv6 => Domain::IPV6,
    };
    let socket = Socket::new(domain, Type::STREAM, Some(Protocol::TCP))?;
    socket.set_nonblocking(true)?;
    if family == IpAddressFamily::Ipv6 {
        socket.set_only_v6(ctx.rules.options.ipv6_only)?;
    }
    ctx.rules.options.apply_to_new(&SockRef::from(&socket))?;
    Ok(socket)
}
