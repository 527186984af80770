//! A place that a service may connect to: `HOST:PORT`.

use std::fmt;
use std::net::{IpAddr, Ipv6Addr, SocketAddr};
use std::num::NonZeroU16;
use std::str::FromStr;

/// A place that a guest may connect to, such as `db.example:5432`, `192.0.2.1:80` or
/// `[2001:db8::1]:443`.
///
/// A name stands for the addresses that the host resolves it to, at the time when the guest asks for
/// them or connects; it is also the only name that the guest can have resolved. An address stands for
/// itself.
///
/// ```
/// use evconn::sockets::Destination;
///
/// let destination: Destination = "DB.example.:5432".parse()?;
/// assert_eq!(destination.to_string(), "db.example:5432");
/// # Ok::<(), evconn::sockets::InvalidDestination>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Destination {
    pub(super) host: Host,
    pub(super) port: u16,
}

/// This is no [`Destination`].
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("it takes HOST:PORT, such as db.example:5432, 192.0.2.1:80 or [2001:db8::1]:443")]
pub struct InvalidDestination;

/// What is in front of the port.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum Host {
    Ip(IpAddr),
    /// In ASCII and lower case, without a dot at its end.
    Name(String),
}

/// No name is longer, in whatever script it is written.
const LONGEST: usize = 1024;

impl Host {
    /// Names in other scripts are converted to ASCII, as wasi-sockets wants it.
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

    /// As [`parse`](Self::parse), but an address of IPv6 is without brackets.
    pub fn parse_bare(text: &str) -> Option<Self> {
        match text.parse::<Ipv6Addr>() {
            Ok(ip) => Some(Self::Ip(IpAddr::V6(ip).to_canonical())),
            Err(_) => Self::parse(text),
        }
    }
}

impl FromStr for Destination {
    type Err = InvalidDestination;

    fn from_str(text: &str) -> Result<Self, InvalidDestination> {
        let (host, port) = text.rsplit_once(':').ok_or(InvalidDestination)?;
        let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
        let port = port.parse::<NonZeroU16>().ok().filter(|_| is_number);
        Ok(Self {
            host: Host::parse(host).ok_or(InvalidDestination)?,
            port: port.ok_or(InvalidDestination)?.get(),
        })
    }
}

impl From<SocketAddr> for Destination {
    fn from(address: SocketAddr) -> Self {
        Self {
            host: Host::Ip(address.ip().to_canonical()),
            port: address.port(),
        }
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.host {
            Host::Ip(ip) => write!(f, "{}", SocketAddr::new(*ip, self.port)),
            Host::Name(name) => write!(f, "{name}:{}", self.port),
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
    fn anything_else_is_refused() {
        for text in [
            "",
            "localhost",
            "localhost:",
            "localhost:0",
            "localhost:65536",
            "localhost:+1",
            "localhost:*",
            ":80",
            ".:80",
            "*.example:80",
            "::1:80",
            "[::1]",
            "http://localhost:80",
            "local host:80",
        ] {
            assert_eq!(shown(text), Err(InvalidDestination), "{text:?}");
        }
        let long = "a".repeat(LONGEST + 1) + ":80";
        assert_eq!(shown(&long), Err(InvalidDestination));
    }
}
