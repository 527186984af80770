//! Sockets and connections, for the cases to work with.

use crate::bindings::wasi::sockets::types::{
    ErrorCode, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket,
};
use crate::bindings::wit_stream;
use crate::run::Run;
use futures_util::future::join;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use wit_bindgen::{FutureReader, StreamReader, StreamWriter};

/// How a direction has ended.
pub type Ended = FutureReader<Result<(), ErrorCode>>;

/// A listening socket.
pub struct Listener {
    pub socket: TcpSocket,
    pub connections: StreamReader<TcpSocket>,
}

impl Listener {
    pub async fn accept(&mut self) -> TcpSocket {
        self.connections.next().await.expect("a connection")
    }
}

/// A connection with all that belongs to it.
pub struct Connection {
    pub socket: TcpSocket,
    pub output: StreamWriter<u8>,
    pub sent: Ended,
    pub input: StreamReader<u8>,
    pub received: Ended,
}

impl Connection {
    pub fn of(socket: TcpSocket) -> Self {
        let (output, data) = wit_stream::new();
        let sent = socket.send(data);
        let (input, received) = socket.receive();
        Self {
            socket,
            output,
            sent,
            input,
            received,
        }
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        let left = self.output.write_all(bytes.to_vec()).await;
        assert!(left.is_empty(), "it takes all of it");
    }

    /// Read until that many bytes are there.
    pub async fn receive(&mut self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let buffer = Vec::with_capacity(count - bytes.len());
            let (_, more) = self.input.read(buffer).await;
            assert!(!more.is_empty(), "more bytes");
            bytes.extend(more);
        }
        bytes
    }
}

impl Run {
    pub fn socket(&self) -> TcpSocket {
        TcpSocket::create(self.family()).expect("a socket")
    }

    pub fn bound(&self) -> TcpSocket {
        let socket = self.socket();
        bind(&socket, self.any_port()).expect("bound");
        socket
    }

    pub fn listening(&self) -> Listener {
        let socket = self.bound();
        let connections = socket.listen().expect("it listens");
        Listener {
            socket,
            connections,
        }
    }

    pub async fn connected(&self, to: SocketAddr) -> TcpSocket {
        let socket = self.socket();
        connect(&socket, to).await.expect("connected");
        socket
    }

    /// Both ends of a connection: who connected, and what was accepted.
    pub async fn pair(&self) -> (TcpSocket, TcpSocket) {
        let mut listener = self.listening();
        let address = local(&listener.socket);
        join(self.connected(address), listener.accept()).await
    }

    /// A connection with the host: it is told where to connect to.
    pub async fn serve_one(&self) -> Connection {
        let mut listener = self.listening();
        self.line("listening", local(&listener.socket)).await;
        Connection::of(listener.accept().await)
    }

    /// An address on which nobody listens.
    pub fn deserted(&self) -> SocketAddr {
        local(&self.listening().socket)
    }
}

pub fn bind(socket: &TcpSocket, address: SocketAddr) -> Result<(), ErrorCode> {
    socket.bind(to_wit(address))
}

pub async fn connect(socket: &TcpSocket, address: SocketAddr) -> Result<(), ErrorCode> {
    socket.connect(to_wit(address)).await
}

pub fn local(socket: &TcpSocket) -> SocketAddr {
    from_wit(socket.get_local_address().expect("a local address"))
}

pub fn remote(socket: &TcpSocket) -> SocketAddr {
    from_wit(socket.get_remote_address().expect("a remote address"))
}

fn to_wit(address: SocketAddr) -> IpSocketAddress {
    match address {
        SocketAddr::V4(address) => IpSocketAddress::Ipv4(Ipv4SocketAddress {
            port: address.port(),
            address: address.ip().octets().into(),
        }),
        SocketAddr::V6(address) => IpSocketAddress::Ipv6(Ipv6SocketAddress {
            port: address.port(),
            flow_info: address.flowinfo(),
            address: address.ip().segments().into(),
            scope_id: address.scope_id(),
        }),
    }
}

pub fn from_wit(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(address) => {
            let ip: [u8; 4] = address.address.into();
            SocketAddr::new(Ipv4Addr::from(ip).into(), address.port)
        }
        IpSocketAddress::Ipv6(address) => {
            let ip: [u16; 8] = address.address.into();
            let ip = Ipv6Addr::from(ip);
            SocketAddrV6::new(ip, address.port, address.flow_info, address.scope_id).into()
        }
    }
}
