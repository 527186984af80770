//! What a case works with: the family of addresses, and the pipes to the host and from it.

use crate::bindings::wasi::cli::types::ErrorCode;
use crate::bindings::wasi::cli::{stdin, stdout};
use crate::bindings::wasi::sockets::types::IpAddressFamily;
use crate::bindings::wit_stream;
use std::cell::Cell;
use std::fmt::Display;
use std::net::{IpAddr, SocketAddr};
use wit_bindgen::{FutureReader, StreamReader, StreamWriter};

/// What the host has told.
pub struct Run {
    /// A loopback address: the family to run this over.
    pub ip: IpAddr,
    pub addresses: Vec<SocketAddr>,
    /// Each is in use by one call at a time.
    output: Cell<Option<StreamWriter<u8>>>,
    input: Cell<Option<StreamReader<u8>>>,
    written: FutureReader<Result<(), ErrorCode>>,
}

impl Run {
    pub fn new(ip: IpAddr, addresses: Vec<SocketAddr>) -> Self {
        let (output, lines) = wit_stream::new();
        let (input, _) = stdin::read_via_stream();
        Self {
            ip,
            addresses,
            output: Cell::new(Some(output)),
            input: Cell::new(Some(input)),
            written: stdout::write_via_stream(lines),
        }
    }

    /// Say what came of what.
    pub async fn line(&self, what: &str, outcome: impl Display) {
        let text = format!("{what}: {outcome}\n");
        let mut output = self.output.take().expect("nobody else writes");
        let left = output.write_all(text.into_bytes()).await;
        assert!(left.is_empty(), "stdout takes it");
        self.output.set(Some(output));
    }

    /// Wait until the host says so.
    pub async fn wait_for_host(&self) {
        let mut input = self.input.take().expect("nobody else reads");
        assert_eq!(input.next().await, Some(b'\n'));
        self.input.set(Some(input));
    }

    /// Wait until the host has all lines.
    pub async fn end(self) {
        drop(self.output);
        self.written.await.expect("stdout takes it");
    }

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
}
