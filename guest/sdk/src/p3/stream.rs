//! Connections to other servers, and those that a listener has accepted.

use super::address::{family, from_wasi, ip_from_wasi, to_wasi};
use super::bindings::command::evconn::tcp::listener::Received;
use super::bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use super::bindings::wasi::sockets::types::TcpSocket;
use super::bindings::wit_stream;
use super::{Reader, Writer};
use std::io;
use std::net::SocketAddr;

/// A connection to another server, if the host grants it (`evconn serve --allow-connect`), or one that a
/// [`Listener`](super::Listener) has accepted.
///
/// Dropping it ends what is sent, after all that was written.
#[derive(Debug)]
pub struct TcpStream {
    socket: TcpSocket,
    reader: Reader,
    writer: Writer,
}

impl TcpStream {
    /// Connects to a server by the name or the address of its host. The addresses of a name are tried one after the other.
    ///
    /// # Errors
    /// If the name has no address, or the last one refuses the connection, or the host does.
    pub async fn connect(host: &str, port: u16) -> io::Result<Self> {
        let addresses = resolve_addresses(host.to_owned()).await;
        let addresses = addresses.map_err(|error| io::Error::other(format!("{host}: {error}")))?;
        let mut refused = io::Error::new(io::ErrorKind::NotFound, format!("{host}: no address"));
        for address in addresses {
            match Self::connect_to((ip_from_wasi(address), port).into()).await {
                Ok(stream) => return Ok(stream),
                Err(error) => refused = error,
            }
        }
        Err(refused)
    }

    /// Connects to an address.
    ///
    /// # Errors
    /// If the server refuses the connection, or the host does.
    pub async fn connect_to(address: SocketAddr) -> io::Result<Self> {
        let socket = TcpSocket::create(family(address))?;
        socket.connect(to_wasi(address)).await?;
        Ok(Self::accepted(socket, None))
    }

    /// Makes a stream of a connected socket, whose `receive` may have been called.
    pub(super) fn accepted(socket: TcpSocket, received: Option<Received>) -> Self {
        let (received, ended) = received.unwrap_or_else(|| socket.receive());
        let (writer, sent) = wit_stream::new();
        // An error of sending is known by the stream, which nobody reads then.
        drop(socket.send(sent));
        Self {
            socket,
            reader: Reader::new(received, ended),
            writer: Writer::new(writer),
        }
    }

    /// Returns the address of the peer.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn peer_addr(&self) -> io::Result<SocketAddr> {
        Ok(from_wasi(self.socket.get_remote_address()?))
    }

    /// Returns the address on this side.
    ///
    /// # Errors
    /// If the connection is lost.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(from_wasi(self.socket.get_local_address()?))
    }

    /// Returns the two halves, which do not need each other.
    pub fn split(self) -> (Reader, Writer) {
        (self.reader, self.writer)
    }
}

super::halves::delegate!(TcpStream);
