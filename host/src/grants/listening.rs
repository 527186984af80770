//! Where a guest may listen by itself.

use crate::ListenSource;
use crate::sockets::Use;
use std::fmt;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::str::FromStr;

/// Where a guest may listen: an address, or a port of every interface.
///
/// It is made from text, in the form that [`ListenSource`] has: `127.0.0.1:9876`, `[::1]:0`, or `:9876`
/// for every interface with IPv6 and IPv4. With port 0, the port is any that the system chooses.
///
/// An address is granted itself, and nothing that has it in it: to listen on `0.0.0.0:9876` or `[::]:9876`
/// takes `:9876`, or just that address.
///
/// ```
/// use evconn::{Grants, ListenGrant};
///
/// let everywhere: ListenGrant = ":9876".parse()?;
/// let grants = Grants::builder().listen(everywhere).build()?;
/// # let _: Grants = grants;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ListenGrant {
    /// None: every interface.
    ip: Option<IpAddr>,
    port: u16,
}

/// This is no place where a guest can be allowed to listen.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "it takes an address with a port, such as 127.0.0.1:9876 or [::1]:9876, or :9876 for any interface"
)]
pub struct InvalidListenGrant;

impl ListenGrant {
    /// What would grant this address to a guest that has those already. Every interface's means the same
    /// as none, and then its counterpart of a dual-stack pair is granted, too.
    ///
    /// Whoever may have the first half of such a pair on any port asks for the second one on the port that
    /// the system has chosen, which is another one each time.
    pub(super) fn missing(address: SocketAddr, granted: &[Self]) -> Self {
        let ip = address.ip();
        let is_first_half = |place: &Self| place.ip.is_some_and(|first| is_pair(first, ip));
        let was_chosen = granted
            .iter()
            .any(|place| place.port == 0 && is_first_half(place));
        Self {
            ip: (!ip.is_unspecified()).then_some(ip),
            port: if was_chosen { 0 } else { address.port() },
        }
    }

    /// Whether a socket may be used so.
    pub(super) fn covers(&self, address: SocketAddr, used_for: Use) -> bool {
        let is_ip = self
            .ip
            .is_none_or(|ip| ip.to_canonical() == address.ip().to_canonical());
        match used_for {
            // Port 0 is what is asked for if any will do.
            Use::Bind | Use::Listen => is_ip && (address.port() == self.port || self.port == 0),
            // Whoever comes to a place where it may listen.
            Use::Accept => true,
            Use::Connect => false,
        }
    }
}

/// The two addresses of a dual-stack listener, in the order in which it binds them.
fn is_pair(first: IpAddr, second: IpAddr) -> bool {
    let (IpAddr::V6(first), IpAddr::V4(second)) = (first, second) else {
        return false;
    };
    (first.is_unspecified() && second.is_unspecified())
        || (first.is_loopback() && second == Ipv4Addr::LOCALHOST)
}

impl FromStr for ListenGrant {
    type Err = InvalidListenGrant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text.parse::<ListenSource>() {
            Ok(ListenSource::Address(address)) => Ok(Self {
                ip: Some(address.ip()),
                port: address.port(),
            }),
            Ok(ListenSource::AnyInterface(port)) => Ok(Self { ip: None, port }),
            // It binds sockets itself, and knows no names.
            Ok(_) | Err(_) => Err(InvalidListenGrant),
        }
    }
}

impl fmt::Display for ListenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.ip {
            Some(ip) => write!(f, "{}", SocketAddr::new(ip, self.port)),
            None => write!(f, ":{}", self.port),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn covers(grant: &str, address: &str, used_for: Use) -> bool {
        let grant: ListenGrant = grant.parse().expect("a grant");
        grant.covers(address.parse().expect("an address"), used_for)
    }

    #[test]
    fn an_address_is_itself_alone() {
        for used_for in [Use::Bind, Use::Listen] {
            assert!(covers("127.0.0.1:80", "127.0.0.1:80", used_for));
            assert!(!covers("127.0.0.1:80", "127.0.0.1:81", used_for));
            assert!(!covers("127.0.0.1:80", "127.0.0.1:0", used_for));
            assert!(!covers("127.0.0.1:80", "0.0.0.0:80", used_for));
            assert!(!covers("127.0.0.1:80", "[::1]:80", used_for));
        }
        assert!(!covers("127.0.0.1:80", "127.0.0.1:80", Use::Connect));
    }

    #[test]
    fn any_interface_is_each_of_them() {
        for address in ["0.0.0.0:80", "[::]:80", "127.0.0.1:80", "[::1]:80"] {
            assert!(covers(":80", address, Use::Bind));
        }
        assert!(!covers(":80", "0.0.0.0:81", Use::Bind));
    }

    #[test]
    fn what_would_grant_an_address_does() {
        for (address, grant) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:0", "[::1]:0"),
            ("0.0.0.0:80", ":80"),
            ("[::]:80", ":80"),
        ] {
            assert_eq!(missing(address, &[]), grant);
            assert!(covers(grant, address, Use::Bind));
        }
    }

    fn missing(address: &str, granted: &[&str]) -> String {
        let place = |text: &&str| text.parse().expect("a grant");
        let granted: Vec<_> = granted.iter().map(place).collect();
        let address = address.parse().expect("an address");
        ListenGrant::missing(address, &granted).to_string()
    }

    #[test]
    fn the_port_of_a_second_half_is_chosen_with_that_of_the_first() {
        for (address, granted, expected) in [
            ("127.0.0.1:40000", "[::1]:0", "127.0.0.1:0"),
            ("0.0.0.0:40000", "[::]:0", ":0"),
            // It was asked for.
            ("127.0.0.1:40000", "[::1]:40000", "127.0.0.1:40000"),
            ("127.0.0.1:40000", "[::]:0", "127.0.0.1:40000"),
            ("127.0.0.2:40000", "[::1]:0", "127.0.0.2:40000"),
            ("[::1]:40000", "127.0.0.1:0", "[::1]:40000"),
        ] {
            assert_eq!(missing(address, &[":1", granted]), expected);
            assert!(covers(expected, address, Use::Bind));
        }
    }

    #[test]
    fn port_zero_is_what_the_system_chooses() {
        assert!(covers("127.0.0.1:0", "127.0.0.1:0", Use::Bind));
        assert!(covers("127.0.0.1:0", "127.0.0.1:40000", Use::Listen));
        assert!(!covers("127.0.0.1:0", "127.0.0.2:40000", Use::Listen));
    }

    #[test]
    fn what_a_guest_cannot_bind_is_refused() {
        for text in ["", "80", "localhost:80", "unix:/x", "fd:3", "systemd"] {
            assert_eq!(
                text.parse::<ListenGrant>(),
                Err(InvalidListenGrant),
                "{text:?}"
            );
        }
    }
}
