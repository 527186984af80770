//! What the cases have in common: listeners, clients, and lines.

use evconn_guest::p3::ErrorCode;
use evconn_guest::p3::bindings::command::evconn::tcp::listener::{
    Callback, Event, Listener, Options, Received,
};
use evconn_guest::p3::bindings::wasi::sockets::types::{
    IpAddressFamily, IpSocketAddress, Ipv4SocketAddress, Ipv6SocketAddress, TcpSocket,
};
use evconn_guest::p3::bindings::wit_stream;
use evconn_guest::println;
use futures::FutureExt;
use std::net::IpAddr;

/// The callbacks that the cases use.
pub const CALLBACK: Callback = 7;
pub const ERROR_CALLBACK: Callback = 8;

/// The loopback address of a case.
pub struct World {
    ip: IpAddr,
}

/// A client, connected.
pub struct Client {
    pub socket: TcpSocket,
    /// Its sending direction.
    pub writer: wit_bindgen_async::StreamWriter<u8>,
}

/// An accepted connection.
pub struct Accepted {
    pub callback: Callback,
    pub socket: TcpSocket,
    pub peer: String,
    pub received: Option<Received>,
}

pub fn line(what: &str, outcome: impl std::fmt::Display) {
    println!("{what}: {outcome}");
}

pub fn yes(is_so: bool) -> &'static str {
    if is_so { "yes" } else { "no" }
}

/// An address as text, to be compared.
pub fn shown(address: IpSocketAddress) -> String {
    format!("{address:?}")
}

/// An outcome's name.
pub fn outcome<T>(result: &Result<T, ErrorCode>) -> String {
    match result {
        Ok(_) => "ok".to_owned(),
        Err(ErrorCode::Other(_)) => "other".to_owned(),
        Err(code) => format!("{code:?}")
            .trim_start_matches("ErrorCode::")
            .to_owned(),
    }
}

/// Options with both callbacks.
pub fn options() -> Options {
    let options = Options::new();
    options.set_callback(Some(CALLBACK));
    options.set_error_callback(Some(ERROR_CALLBACK));
    options
}

impl World {
    pub fn new(ip: IpAddr) -> Self {
        Self { ip }
    }

    pub fn family(&self) -> IpAddressFamily {
        match self.ip {
            IpAddr::V4(_) => IpAddressFamily::Ipv4,
            IpAddr::V6(_) => IpAddressFamily::Ipv6,
        }
    }

    /// The loopback address, with a port.
    pub fn at(&self, port: u16) -> IpSocketAddress {
        match self.ip {
            IpAddr::V4(ip) => {
                let [a, b, c, d] = ip.octets();
                IpSocketAddress::Ipv4(Ipv4SocketAddress {
                    port,
                    address: (a, b, c, d),
                })
            }
            IpAddr::V6(ip) => {
                let [a, b, c, d, e, f, g, h] = ip.segments();
                IpSocketAddress::Ipv6(Ipv6SocketAddress {
                    port,
                    flow_info: 0,
                    address: (a, b, c, d, e, f, g, h),
                    scope_id: 0,
                })
            }
        }
    }

    /// A listener on a port that is free.
    pub fn listener(&self, options: &Options) -> Listener {
        Listener::bind(self.at(0), Some(options)).expect("a listener")
    }

    /// A bound socket.
    pub fn bound(&self) -> TcpSocket {
        let socket = TcpSocket::create(self.family()).expect("a socket");
        socket.bind(self.at(0)).expect("bound");
        socket
    }

    pub async fn connect(&self, address: IpSocketAddress) -> Result<Client, ErrorCode> {
        let socket = TcpSocket::create(match address {
            IpSocketAddress::Ipv4(_) => IpAddressFamily::Ipv4,
            IpSocketAddress::Ipv6(_) => IpAddressFamily::Ipv6,
        })?;
        socket.connect(address).await?;
        let (writer, sent) = wit_stream::new();
        drop(socket.send(sent));
        Ok(Client { socket, writer })
    }

    /// A client of a listener with one socket.
    pub async fn client(&self, listener: &Listener) -> Client {
        let address = local(listener).remove(0);
        self.connect(address).await.expect("connected")
    }
}

pub fn local(listener: &Listener) -> Vec<IpSocketAddress> {
    listener.local_addresses().expect("addresses")
}

impl Client {
    /// Its own address: that of the peer for whoever accepts it.
    pub fn address(&self) -> String {
        shown(self.socket.get_local_address().expect("an address"))
    }

    pub async fn send(&mut self, bytes: &[u8]) {
        let rest = self.writer.write_all(bytes.to_vec()).await;
        assert!(rest.is_empty(), "nobody takes it");
    }
}

/// The connections of events.
pub fn connections(events: Vec<Event>) -> Vec<Accepted> {
    let connection = |event| match event {
        Event::Connection(event) => Accepted {
            callback: event.callback,
            socket: event.socket,
            peer: shown(event.peer_address),
            received: event.received,
        },
        Event::Error(error) => panic!("an error: {:?}", error.code),
    };
    events.into_iter().map(connection).collect()
}

/// Waits for one connection.
pub async fn accept(listener: &Listener) -> Accepted {
    let mut accepted = connections(listener.next_events(1).await);
    accepted.pop().expect("a connection")
}

/// Whether there is an event at once. A call that waits is cancelled.
pub fn has_event(listener: &Listener) -> bool {
    listener.next_events(1).now_or_never().is_some()
}
