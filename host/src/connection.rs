//! A connection in native hands: what a listener's callback gets.
//!
//! Where it ends: a connection that is for a service stays in [`Parts`] on its way there.

use crate::ErrorCode;
use crate::listener::OnRelease;
use bytes::Bytes;
use std::fmt;
use std::future::Future;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use wasmtime::component::{Resource, ResourceTable};
use wasmtime_wasi::p2::bindings::sockets::network::ErrorCode as WasiErrorCode;
use wasmtime_wasi::p2::bindings::sockets::tcp::{HostTcpSocket, ShutdownType};
use wasmtime_wasi::p2::{
    DynInputStream, DynOutputStream, Pollable, SocketResult, StreamError, TcpSocket,
};
use wasmtime_wasi::sockets::{WasiSocketsCtx, WasiSocketsCtxView};

/// How long a dropped connection goes on sending what was written to it.
const LINGER: Duration = Duration::from_secs(10);

/// A TCP connection that a listener accepted: bytes in, bytes out, and who the peer is.
///
/// It reads and writes as a [`tokio::net::TcpStream`] does. Dropping it closes it; what was written
/// before is still sent, in the background, for up to 10 seconds.
pub struct Connection {
    // The order matters: the streams go before their socket, and whoever waits for a free
    // descriptor is told last.
    input: Half<DynInputStream>,
    output: Output,
    socket: Option<TcpSocket>,
    peer_addr: SocketAddr,
    _on_release: OnRelease,
}

/// What a connection consists of.
pub(crate) struct Parts {
    pub input: DynInputStream,
    pub output: DynOutputStream,
    pub socket: TcpSocket,
    pub peer_addr: SocketAddr,
    /// To be dropped when all else is.
    pub on_release: OnRelease,
}

impl Connection {
    pub(crate) fn new(parts: Parts) -> Self {
        Self {
            input: Half::Idle(parts.input),
            output: Output(Half::Idle(parts.output)),
            socket: Some(parts.socket),
            peer_addr: parts.peer_addr,
            _on_release: parts.on_release,
        }
    }

    /// The peer's address, as it was when the connection was accepted.
    pub fn peer_addr(&self) -> SocketAddr {
        self.peer_addr
    }

    /// The address on this side.
    ///
    /// # Errors
    /// What the operating system says; none is expected.
    pub fn local_addr(&mut self) -> io::Result<SocketAddr> {
        self.with_socket(|sockets, socket| sockets.local_address(socket))
            .map(SocketAddr::from)
    }

    /// Call a function of `wasi:sockets/tcp`, which wasmtime-wasi offers for a socket in a table.
    fn with_socket<T>(
        &mut self,
        call: impl FnOnce(&mut WasiSocketsCtxView<'_>, Resource<TcpSocket>) -> SocketResult<T>,
    ) -> io::Result<T> {
        let socket = self.socket.take().ok_or(io::ErrorKind::NotConnected)?;
        let mut table = ResourceTable::new();
        let handle = table.push(socket).map_err(io::Error::other)?;
        let result = call(
            &mut WasiSocketsCtxView {
                ctx: &mut WasiSocketsCtx::default(),
                table: &mut table,
            },
            Resource::new_borrow(handle.rep()),
        );
        self.socket = Some(table.delete(handle).map_err(io::Error::other)?);
        result.map_err(|error| socket_error(error.downcast_ref(), &error))
    }
}

impl fmt::Debug for Connection {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Connection")
            .field("peer_addr", &self.peer_addr)
            .finish_non_exhaustive()
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if buf.remaining() == 0 {
            return Poll::Ready(Ok(()));
        }
        loop {
            let stream = ready!(self.input.poll_idle(cx))?;
            match stream.read(buf.remaining()) {
                Ok(bytes) if bytes.is_empty() => self.input.wait(),
                Ok(bytes) => {
                    buf.put_slice(&bytes);
                    return Poll::Ready(Ok(()));
                }
                Err(StreamError::Closed) => return Poll::Ready(Ok(())),
                Err(error) => return Poll::Ready(Err(stream_error(error))),
            }
        }
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        buf: &[u8],
    ) -> Poll<io::Result<usize>> {
        let permit = ready!(self.output.poll_permit(cx))?;
        let len = buf.len().min(permit);
        let stream = ready!(self.output.0.poll_idle(cx))?;
        stream
            .write(Bytes::copy_from_slice(&buf[..len]))
            .map_err(stream_error)?;
        Poll::Ready(Ok(len))
    }

    /// Waits until the kernel has taken every byte.
    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        ready!(self.output.poll_permit(cx))?;
        Poll::Ready(Ok(()))
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        match ready!(self.output.poll_permit(cx)) {
            // Ended before: by an earlier shutdown, or by the peer. There is nothing left to end.
            Err(error) if error.kind() == io::ErrorKind::BrokenPipe => return Poll::Ready(Ok(())),
            result => result?,
        };
        Poll::Ready(
            self.with_socket(|sockets, socket| sockets.shutdown(socket, ShutdownType::Send)),
        )
    }
}

/// A stream, which is either here or in a future that waits for it to be ready.
///
/// The future owns the stream: that holds for every kind of stream, whatever its `ready` keeps
/// between two polls.
enum Half<S> {
    Idle(S),
    Waiting(Pin<Box<dyn Future<Output = S> + Send>>),
    Taken,
}

impl<S: Pollable> Half<S> {
    fn take(&mut self) -> Self {
        std::mem::replace(self, Self::Taken)
    }

    fn poll_idle(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<&mut S>> {
        if let Self::Waiting(future) = self {
            let stream = ready!(future.as_mut().poll(cx));
            *self = Self::Idle(stream);
        }
        Poll::Ready(match self {
            Self::Idle(stream) => Ok(stream),
            Self::Waiting(_) | Self::Taken => Err(io::ErrorKind::NotConnected.into()),
        })
    }

    /// The next `poll_idle` is to wait until the stream is ready.
    fn wait(&mut self) {
        *self = match self.take() {
            Self::Idle(mut stream) => Self::Waiting(Box::pin(async move {
                stream.ready().await;
                stream
            })),
            other => other,
        }
    }
}

/// The output stream, which outlives its connection for as long as it has bytes to send.
struct Output(Half<DynOutputStream>);

impl Output {
    /// Wait until all that was written is with the kernel; then, how much may be written next.
    fn poll_permit(&mut self, cx: &mut Context<'_>) -> Poll<io::Result<usize>> {
        loop {
            let stream = ready!(self.0.poll_idle(cx))?;
            match stream.check_write() {
                Ok(0) => self.0.wait(),
                Ok(permit) => return Poll::Ready(Ok(permit)),
                Err(error) => return Poll::Ready(Err(stream_error(error))),
            }
        }
    }
}

impl Drop for Output {
    fn drop(&mut self) {
        if let Half::Idle(stream) = &mut self.0
            && matches!(stream.check_write(), Ok(0))
        {
            self.0.wait();
        }
        // Deleting a stream of wasmtime-wasi loses what it has not sent.
        if let (Half::Waiting(sent), Ok(runtime)) =
            (self.0.take(), tokio::runtime::Handle::try_current())
        {
            runtime.spawn(tokio::time::timeout(LINGER, sent));
        }
    }
}

fn stream_error(error: StreamError) -> io::Error {
    match error {
        StreamError::Closed => io::ErrorKind::BrokenPipe.into(),
        StreamError::LastOperationFailed(error) => socket_error(error.downcast_ref(), &error),
        StreamError::Trap(error) => io::Error::other(format!("{error:#}")),
    }
}

fn socket_error(code: Option<&WasiErrorCode>, error: &dyn fmt::Display) -> io::Error {
    match code {
        Some(code) => ErrorCode::from(*code).into(),
        None => io::Error::other(error.to_string()),
    }
}
