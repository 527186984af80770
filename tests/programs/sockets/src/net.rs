//! Addresses, sockets and connections, for the cases to work with.

use crate::bindings::wasi::io::streams::{InputStream, OutputStream, StreamError};
use crate::bindings::wasi::sockets::instance_network::instance_network;
use crate::bindings::wasi::sockets::network::{
    ErrorCode, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
};
use crate::bindings::wasi::sockets::tcp::TcpSocket;
use crate::bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::report::line;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};

/// What the host has told.
pub struct Run {
    /// A loopback address: the family to run this over.
    pub ip: IpAddr,
    pub addresses: Vec<SocketAddr>,
}

impl Run {
    /// An address on which the port is to be chosen.
    pub fn any_port(&self) -> SocketAddr {
        self.port(0)
    }

    pub fn port(&self, port: u16) -> SocketAddr {
        SocketAddr::new(self.ip, port)
    }

    pub fn family(&self) -> IpAddressFamily {
        match self.ip {
            IpAddr::V4(_) => IpAddressFamily::Ipv4,
            IpAddr::V6(_) => IpAddressFamily::Ipv6,
        }
    }

    /// The address of that notation which is of this family.
    pub fn choose(&self, ipv4: &str, ipv6: &str) -> IpAddr {
        let text = if self.ip.is_ipv4() { ipv4 } else { ipv6 };
        text.parse().expect("an IP address")
    }

    pub fn socket(&self) -> TcpSocket {
        create_tcp_socket(self.family()).expect("a socket")
    }

    pub fn bound(&self) -> TcpSocket {
        let socket = self.socket();
        bind(&socket, self.any_port()).expect("bound");
        socket
    }

    pub fn listening(&self) -> TcpSocket {
        let socket = self.bound();
        listen(&socket).expect("it listens");
        socket
    }

    pub fn connected(&self, to: SocketAddr) -> Connection {
        let socket = self.socket();
        let (input, output) = connect(&socket, to).expect("connected");
        Connection {
            input,
            output,
            socket,
        }
    }

    /// Both ends of a connection: who connected, and what was accepted.
    pub fn pair(&self) -> (Connection, Connection) {
        let listener = self.listening();
        let client = self.connected(local(&listener));
        let server = accept(&listener).expect("accepted");
        (client, server)
    }

    /// A connection with the host: it is told where to connect to.
    pub fn serve_one(&self) -> Connection {
        let listener = self.listening();
        line("listening", local(&listener));
        accept(&listener).expect("accepted")
    }

    /// An address on which nobody listens.
    pub fn deserted(&self) -> SocketAddr {
        local(&self.listening())
    }
}

/// The fields in the order in which they have to be dropped.
pub struct Connection {
    pub input: InputStream,
    pub output: OutputStream,
    pub socket: TcpSocket,
}

impl Connection {
    pub fn send(&self, bytes: &[u8]) {
        self.output.blocking_write_and_flush(bytes).expect("sent");
    }

    /// Read until that many bytes are there.
    pub fn receive(&self, count: usize) -> Vec<u8> {
        let mut bytes = Vec::new();
        while bytes.len() < count {
            let left = (count - bytes.len()) as u64;
            bytes.extend(self.input.blocking_read(left).expect("bytes"));
        }
        bytes
    }

    /// Wait until something can be written, and return how much.
    pub fn permitted(&self) -> u64 {
        loop {
            self.output.subscribe().block();
            let permitted = self.output.check_write().expect("it is open");
            if permitted > 0 {
                return permitted;
            }
        }
    }

    /// Read until the end of the stream.
    pub fn receive_all(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        loop {
            match self.input.blocking_read(1 << 16) {
                Ok(more) => bytes.extend(more),
                Err(StreamError::Closed) => return bytes,
                Err(error) => panic!("{error:?}"),
            }
        }
    }

    /// Write for as long as the stream takes anything. That it takes nothing yet is not the end.
    pub fn fill(&self) -> u64 {
        static CHUNK: [u8; 1 << 16] = [b'x'; 1 << 16];
        let mut written = 0;
        loop {
            let permitted = self.output.check_write().expect("it is open");
            let pollable = self.output.subscribe();
            if permitted == 0 && written > 0 && !pollable.ready() {
                return written;
            }
            if permitted == 0 {
                pollable.block();
                continue;
            }
            let count = permitted.min(CHUNK.len() as u64);
            let chunk = &CHUNK[..count as usize];
            self.output.write(chunk).expect("it is permitted");
            written += count;
        }
    }
}

/// Repeat what cannot be finished yet, once there is something new.
fn finish<T>(
    socket: &TcpSocket,
    attempt: impl Fn(&TcpSocket) -> Result<T, ErrorCode>,
) -> Result<T, ErrorCode> {
    loop {
        match attempt(socket) {
            Err(ErrorCode::WouldBlock) => socket.subscribe().block(),
            result => return result,
        }
    }
}

pub fn start_bind(socket: &TcpSocket, to: SocketAddr) -> Result<(), ErrorCode> {
    socket.start_bind(&instance_network(), wit(to))
}

/// Start and finish. Which of the two fails is left to the implementation.
pub fn bind(socket: &TcpSocket, to: SocketAddr) -> Result<(), ErrorCode> {
    start_bind(socket, to)?;
    finish(socket, TcpSocket::finish_bind)
}

pub fn listen(socket: &TcpSocket) -> Result<(), ErrorCode> {
    socket.start_listen()?;
    finish(socket, TcpSocket::finish_listen)
}

pub fn start_connect(socket: &TcpSocket, to: SocketAddr) -> Result<(), ErrorCode> {
    socket.start_connect(&instance_network(), wit(to))
}

pub fn finish_connect(socket: &TcpSocket) -> Result<(InputStream, OutputStream), ErrorCode> {
    finish(socket, TcpSocket::finish_connect)
}

pub fn connect(
    socket: &TcpSocket,
    to: SocketAddr,
) -> Result<(InputStream, OutputStream), ErrorCode> {
    start_connect(socket, to)?;
    finish_connect(socket)
}

pub fn accept(socket: &TcpSocket) -> Result<Connection, ErrorCode> {
    let (socket, input, output) = finish(socket, TcpSocket::accept)?;
    Ok(Connection {
        input,
        output,
        socket,
    })
}

pub fn local(socket: &TcpSocket) -> SocketAddr {
    std(socket.local_address().expect("it is bound"))
}

pub fn remote(socket: &TcpSocket) -> SocketAddr {
    std(socket.remote_address().expect("it is connected"))
}

pub fn wit(address: SocketAddr) -> IpSocketAddress {
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

pub fn std(address: IpSocketAddress) -> SocketAddr {
    match address {
        IpSocketAddress::Ipv4(address) => {
            let octets: [u8; 4] = address.address.into();
            SocketAddr::new(Ipv4Addr::from(octets).into(), address.port)
        }
        IpSocketAddress::Ipv6(address) => {
            let segments: [u16; 8] = address.address.into();
            let ip = Ipv6Addr::from(segments);
            SocketAddrV6::new(ip, address.port, address.flow_info, address.scope_id).into()
        }
    }
}
