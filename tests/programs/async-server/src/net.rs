//! Sockets and connections.

use crate::bindings::wasi::sockets::ip_name_lookup::resolve_addresses;
use crate::bindings::wasi::sockets::types::{
    ErrorCode, IpAddress, IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress,
    TcpSocket,
};
use crate::bindings::wit_stream;
use futures_util::future::join;
use futures_util::lock::Mutex;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV6};
use std::rc::Rc;
use wit_bindgen_async::{FutureReader, StreamReader, StreamResult, StreamWriter};

const AT_A_TIME: usize = 16 << 10;

/// What its listening socket has for the hops of a packet, and so its connections.
const HOPS: u8 = 33;

/// A listening socket.
pub struct Listener {
    socket: TcpSocket,
    connections: StreamReader<TcpSocket>,
}

impl Listener {
    pub async fn at(address: &str) -> Self {
        let address = match address.split_once(':') {
            Some(("localhost", port)) => {
                let found = resolve("localhost").await.expect("it is known");
                SocketAddr::new(found[0], port.parse().expect("a port"))
            }
            _ => address.parse().expect("an address"),
        };
        Self::bound(address).expect("it is free")
    }

    fn bound(address: SocketAddr) -> Result<Self, ErrorCode> {
        let socket = TcpSocket::create(family(address)).expect("a socket");
        socket.bind(to_wit(address))?;
        if address.is_ipv4() {
            socket.set_hop_limit(HOPS)?;
        }
        let connections = socket.listen()?;
        Ok(Self {
            socket,
            connections,
        })
    }

    pub async fn accept(&mut self) -> TcpSocket {
        self.connections.next().await.expect("a connection")
    }

    pub fn address(&self) -> SocketAddr {
        from_wit(self.socket.get_local_address().expect("an address"))
    }
}

/// Binds an address a second time.
pub fn dropped_listener(address: SocketAddr) -> String {
    match Listener::bound(address) {
        Ok(_) => "bound".to_owned(),
        Err(code) => show(&code),
    }
}

/// What others have of a connection who send something.
pub type Output = Rc<Mutex<Option<StreamWriter<u8>>>>;

/// A connection with all that belongs to it.
pub struct Connection {
    socket: TcpSocket,
    pub output: Output,
    input: StreamReader<u8>,
    _ends: [FutureReader<Result<(), ErrorCode>>; 2],
}

impl Connection {
    pub fn of(socket: TcpSocket) -> Self {
        let (output, data) = wit_stream::new();
        let sent = socket.send(data);
        let (input, received) = socket.receive();
        Self {
            socket,
            output: Rc::new(Mutex::new(Some(output))),
            input,
            _ends: [sent, received],
        }
    }

    pub async fn send(&self, bytes: Vec<u8>) {
        send(&self.output, bytes).await;
    }

    pub async fn end_sending(&self) {
        self.output.lock().await.take();
    }

    /// Reads a line. None: there is none left.
    pub async fn line(&mut self) -> Option<String> {
        let mut line = Vec::new();
        loop {
            match self.input.next().await {
                None if line.is_empty() => return None,
                None | Some(b'\n') => break,
                Some(byte) => line.push(byte),
            }
        }
        Some(String::from_utf8_lossy(&line).into_owned())
    }

    /// Reads to the end.
    pub async fn all(&mut self) -> Vec<u8> {
        let mut all = Vec::new();
        loop {
            let (result, bytes) = self.input.read(Vec::with_capacity(AT_A_TIME)).await;
            all.extend(bytes);
            if !matches!(result, StreamResult::Complete(_)) {
                return all;
            }
        }
    }

    pub async fn count(&mut self) -> usize {
        self.all().await.len()
    }

    pub fn hops(&self) -> u8 {
        self.socket.get_hop_limit().expect("a number")
    }

    pub fn local(&self) -> SocketAddr {
        from_wit(self.socket.get_local_address().expect("an address"))
    }

    pub fn remote(&self) -> SocketAddr {
        from_wit(self.socket.get_remote_address().expect("an address"))
    }
}

/// Sends something, unless nothing more is to be sent or can be.
pub async fn send(output: &Output, bytes: Vec<u8>) {
    if let Some(output) = &mut *output.lock().await {
        output.write_all(bytes).await;
    }
}

pub async fn connect(to: SocketAddr) -> Result<Connection, ErrorCode> {
    let socket = TcpSocket::create(family(to))?;
    socket.connect(to_wit(to)).await?;
    Ok(Connection::of(socket))
}

/// Makes a pair of sockets, and returns what it is told of them.
pub async fn talks_to_itself() -> &'static str {
    let mut listener = Listener::at("127.0.0.1:0").await;
    let here = listener.address();
    let (one, other) = join(connect(here), listener.accept()).await;
    let (one, mut other) = (one.expect("connected"), Connection::of(other));
    drop(listener);
    if other.remote() != one.local() || other.local() != one.remote() {
        return "somebody else";
    }
    one.send(b"to itself".to_vec()).await;
    drop(one);
    match &other.all().await[..] {
        b"to itself" => "itself",
        _ => "something else",
    }
}

/// Sends back all that a client sends: through its own memory, or as the host does that.
pub async fn echo(socket: TcpSocket, by_itself: bool) {
    let (mut input, received) = socket.receive();
    if !by_itself {
        // How it ends is seen by its peer.
        let _ = socket.send(input).await;
        return;
    }
    let (mut output, data) = wit_stream::new();
    let sent = socket.send(data);
    let mut buffer = Vec::with_capacity(AT_A_TIME);
    while let (StreamResult::Complete(_), bytes) = input.read(buffer).await {
        buffer = output.write_all(bytes).await;
        if !buffer.is_empty() {
            return;
        }
    }
    drop((output, sent, received));
}

/// Returns the addresses of a name.
pub async fn resolve(name: &str) -> Option<Vec<IpAddr>> {
    let found = resolve_addresses(name.to_owned()).await.ok()?;
    let addresses = found.into_iter().map(|address| match address {
        IpAddress::Ipv4(ip) => IpAddr::V4(<[u8; 4]>::from(ip).into()),
        IpAddress::Ipv6(ip) => IpAddr::V6(<[u16; 8]>::from(ip).into()),
    });
    Some(addresses.collect())
}

/// Shows a code as Rust shows the same of its own.
pub fn show(code: &ErrorCode) -> String {
    match code {
        ErrorCode::AccessDenied => "PermissionDenied".to_owned(),
        ErrorCode::AddressInUse => "AddrInUse".to_owned(),
        ErrorCode::ConnectionRefused => "ConnectionRefused".to_owned(),
        other => format!("{other:?}"),
    }
}

fn family(address: SocketAddr) -> IpAddressFamily {
    match address {
        SocketAddr::V4(_) => IpAddressFamily::Ipv4,
        SocketAddr::V6(_) => IpAddressFamily::Ipv6,
    }
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

fn from_wit(address: IpSocketAddress) -> SocketAddr {
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
