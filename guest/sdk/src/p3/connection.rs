//! A connection, as its service has it.

use super::bindings::evconn::tcp::types::Connection as WitConnection;
use super::bindings::wasi::sockets::types::{IpSocketAddress, Ipv4SocketAddress};
use super::{Reader, TlsSession, Writer};
use futures_io::{AsyncBufRead, AsyncRead, AsyncWrite};
use std::io;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6};
use std::pin::Pin;
use std::task::{Context, Poll};

/// A connection that a service has to serve: what the peer sends can be read from it, and what is written to it is sent.
///
/// Dropping it ends what is sent, after all that was written.
#[derive(Debug)]
pub struct Connection {
    known: WitConnection,
    reader: Reader,
    writer: Writer,
}

impl Connection {
    pub(super) fn new(known: WitConnection, reader: Reader, writer: Writer) -> Self {
        Self {
            known,
            reader,
            writer,
        }
    }

    /// Returns the address of the peer, as it was when the connection was accepted, or as its proxy has announced it.
    pub fn peer_addr(&self) -> SocketAddr {
        from_wasi(self.known.peer_address())
    }

    /// Returns the address on this side.
    ///
    /// # Errors
    /// None is expected.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(from_wasi(self.known.local_address()?))
    }

    /// Returns the TLS session between the peer and the host, if the connection is encrypted.
    pub fn tls(&self) -> Option<TlsSession> {
        self.known.tls()
    }

    /// Returns the number of the connection in the host's log.
    pub fn number(&self) -> u64 {
        self.known.number()
    }

    /// Returns the two halves, which do not need each other.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

fn from_wasi(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(Ipv4SocketAddress { port, address }) => {
            let (a, b, c, d) = address;
            SocketAddrV4::new(Ipv4Addr::new(a, b, c, d), port).into()
        }
        IpSocketAddress::Ipv6(address) => {
            let (a, b, c, d, e, f, g, h) = address.address;
            let ip = Ipv6Addr::new(a, b, c, d, e, f, g, h);
            SocketAddrV6::new(ip, address.port, address.flow_info, address.scope_id).into()
        }
    }
}

impl AsyncRead for Connection {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        into: &mut [u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.reader).poll_read(cx, into)
    }
}

impl AsyncBufRead for Connection {
    fn poll_fill_buf(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<&[u8]>> {
        Pin::new(&mut self.get_mut().reader).poll_fill_buf(cx)
    }

    fn consume(mut self: Pin<&mut Self>, count: usize) {
        Pin::new(&mut self.reader).consume(count);
    }
}

impl AsyncWrite for Connection {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.writer).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_flush(cx)
    }

    fn poll_close(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.writer).poll_close(cx)
    }
}
