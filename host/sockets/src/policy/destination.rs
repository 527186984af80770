//! A destination that a guest may connect to, or exchange datagrams with: `HOST:PORT`.

use ipnet::IpNet;
use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::ops::RangeInclusive;
use std::str::FromStr;

/// A destination that a guest may connect to: `HOST:PORT`.
///
/// | text | meaning |
/// | --- | --- |
/// | `db.example:5432` | the addresses that the host resolves this name to |
/// | `192.0.2.1:80`, `[2001:db8::1]:443` | this address |
/// | `10.0.0.0/8:5432`, `[2001:db8::]/32:443` | each address of this network |
/// | `HOST:8000-8100` | these ports and those between them |
/// | `HOST:*` | every port |
///
/// A name is resolved when the guest resolves it or connects. Unless all names may be looked up, a guest can
/// resolve only the names of its destinations.
///
/// ```
/// use evconn_sockets::Destination;
///
/// let destination: Destination = "DB.example.:5432".parse()?;
/// assert_eq!(destination.to_string(), "db.example:5432");
/// let network: Destination = "10.0.0.0/8:8000-8100".parse()?;
/// # Ok::<(), evconn_sockets::InvalidDestination>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    pub(crate) target: Target,
    pub(crate) ports: RangeInclusive<u16>,
}

/// The text is not a [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it takes HOST:PORT: a name, an address or a network with a port, a range of ports or *, such as \
     db.example:5432, 192.0.2.1:8000-8100, [2001:db8::1]:443, 10.0.0.0/8:* or [2001:db8::]/32:443"
)]
pub struct InvalidDestination;

/// The addresses of a [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Target {
    /// A network. A single address is a network of one.
    Net(IpNet),
    /// A name in ASCII and lower case, without a trailing dot.
    Name(String),
}

/// The host in front of a port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(crate) enum Host {
    Ip(IpAddr),
    /// A name in ASCII and lower case, without a trailing dot.
    Name(String),
}

/// Maximum length of a host. No name is longer, in any script.
const LONGEST: usize = 1024;

/// Every port that can be connected to.
const ALL_PORTS: RangeInclusive<u16> = 1..=u16::MAX;

impl Host {
    /// Parses a host. Names in other scripts are converted to ASCII, as wasi-sockets requires.
    pub fn parse(text: &str) -> Option<Self> {
        if text.len() > LONGEST || text.contains('*') {
            return None;
        }
        match url::Host::parse(text) {
            Ok(url::Host::Domain(name)) => {
                let name = name.strip_suffix('.').unwrap_or(&name);
                (!name.is_empty()).then(|| Self::Name(name.to_owned()))
            }
            Ok(url::Host::Ipv4(ip)) => Some(Self::Ip(ip.into())),
            Ok(url::Host::Ipv6(ip)) => Some(Self::Ip(IpAddr::V6(ip).to_canonical())),
            Err(_) => None,
        }
    }

    /// Does the same as [`parse`](Self::parse), but expects IPv6 addresses without brackets.
    pub fn parse_bare(text: &str) -> Option<Self> {
        match text.parse::<Ipv6Addr>() {
            Ok(ip) => Some(Self::Ip(IpAddr::V6(ip).to_canonical())),
            Err(_) => Self::parse(text),
        }
    }
}

impl Target {
    fn parse(text: &str) -> Option<Self> {
        match text.rsplit_once('/') {
            Some((address, length)) => network(address, length).map(Self::Net),
            None => Some(match Host::parse(text)? {
                Host::Ip(ip) => Self::Net(ip.into()),
                Host::Name(name) => Self::Name(name),
            }),
        }
    }
}

/// Parses a network. An IPv6 address is in brackets: `10.0.0.0/8`, `[2001:db8::]/32`.
fn network(address: &str, length: &str) -> Option<IpNet> {
    let inner = address.strip_prefix('[').and_then(|a| a.strip_suffix(']'));
    let ip = match inner {
        Some(inner) => IpAddr::V6(inner.parse().ok()?),
        None => IpAddr::V4(address.parse().ok()?),
    };
    let length = number::<u8>(length)?;
    // A mapped address is an IPv4 address, and so its network is one of IPv4.
    let (ip, length) = match (ip.to_canonical(), ip) {
        (IpAddr::V4(ip), IpAddr::V6(_)) => (IpAddr::V4(ip), length.checked_sub(96)?),
        (ip, _) => (ip, length),
    };
    IpNet::new(ip, length).ok().map(|network| network.trunc())
}

fn ports(text: &str) -> Option<RangeInclusive<u16>> {
    if text == "*" {
        return Some(ALL_PORTS);
    }
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last): (NonZeroU16, NonZeroU16) = (number(first)?, number(last)?);
    (first <= last).then(|| first.get()..=last.get())
}

/// Parses a number without a sign, which `parse` would accept.
fn number<T: FromStr>(text: &str) -> Option<T> {
    let is_number = text.bytes().all(|byte| byte.is_ascii_digit());
    text.parse().ok().filter(|_| is_number)
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidDestination)?;
        Ok(Self {
            target: Target::parse(host).ok_or(InvalidDestination)?,
            ports: ports(port).ok_or(InvalidDestination)?,
        })
    }
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        Self {
            target: Target::Net(address.ip().to_canonical().into()),
            ports: address.port()..=address.port(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.target {
            Target::Name(name) => f.write_str(name)?,
            Target::Net(network) => {
                match network.addr() {
                    IpAddr::V4(ip) => write!(f, "{ip}")?,
                    IpAddr::V6(ip) => write!(f, "[{ip}]")?,
                }
                if network.prefix_len() < network.max_prefix_len() {
                    write!(f, "/{}", network.prefix_len())?;
                }
            }
        }
        match (self.ports.start(), self.ports.end()) {
            _ if self.ports == ALL_PORTS => f.write_str(":*"),
            (first, last) if first == last => write!(f, ":{first}"),
            (first, last) => write!(f, ":{first}-{last}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(text: &str) -> Result<String, InvalidDestination> {
        text.parse()
            .map(|destination: Destination| destination.to_string())
    }

    #[test]
    fn it_is_a_name_or_an_address_with_a_port() {
        for (text, same) in [
            ("localhost:80", "localhost:80"),
            ("DB.Example.:5432", "db.example:5432"),
            ("bücher.example:1", "xn--bcher-kva.example:1"),
            ("192.0.2.1:80", "192.0.2.1:80"),
            ("[2001:DB8::1]:443", "[2001:db8::1]:443"),
            ("[::ffff:192.0.2.1]:80", "192.0.2.1:80"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(same));
        }
    }

    #[test]
    fn it_may_have_many_ports() {
        for (text, same) in [
            ("localhost:*", "localhost:*"),
            ("[::1]:1-65535", "[::1]:*"),
            ("192.0.2.1:8000-8100", "192.0.2.1:8000-8100"),
            ("db.example:80-80", "db.example:80"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(same));
        }
    }

    #[test]
    fn it_may_be_a_network() {
        for (text, same) in [
            ("10.0.0.0/8:5432", "10.0.0.0/8:5432"),
            ("10.1.2.3/8:*", "10.0.0.0/8:*"),
            ("[2001:db8::]/32:1-2", "[2001:db8::]/32:1-2"),
            ("0.0.0.0/0:53", "0.0.0.0/0:53"),
            ("192.0.2.1/32:80", "192.0.2.1:80"),
            ("[::ffff:10.0.0.0]/104:80", "10.0.0.0/8:80"),
        ] {
            assert_eq!(shown(text).as_deref(), Ok(same));
        }
    }

    #[test]
    fn anything_else_is_refused() {
        for text in [
            "",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:0-1",
            "localhost:2-1",
            "localhost:1-",
            "localhost:1-2-3",
            "localhost:65536",
            "localhost:+1",
            "localhost:**",
            ":80",
            ".:80",
            "*:80",
            "*.example:80",
            "::1:80",
            "[::1]",
            "http://localhost:80",
            "local host:80",
            "10.0.0.0/33:80",
            "10.0.0.0/:80",
            "10.0.0.0/+8:80",
            "10.0.0.0/8",
            "2001:db8::/32:80",
            "[2001:db8::]/129:80",
            "[10.0.0.0]/8:80",
            "[::ffff:10.0.0.0]/8:80",
            "db.example/8:80",
        ] {
            assert_eq!(shown(text), Err(InvalidDestination), "{text:?}");
        }
        let long = "a".repeat(LONGEST + 1) + ":80";
        assert_eq!(shown(&long), Err(InvalidDestination));
    }
}
