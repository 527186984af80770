//! The addresses on which a guest may listen.

use crate::sockets::{Place, PlaceHost, scope_of};
use crate::{ListenSource, SourceError};
use std::fmt;
use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::str::FromStr;

/// An address on which a guest may listen, or a port of every interface.
///
/// It is parsed from text, in the syntax of [`ListenSource`]: `127.0.0.1:9876`, `[::1]:0`,
/// `localhost:9876` for `127.0.0.1` and `::1`, or `:9876` for every interface, with IPv6 and IPv4. With
/// port 0, the system chooses the port, and the guest may request port 0 only; for the second address of
/// a dual-stack pair, such as `127.0.0.1` with `::1`, it may request the port that was chosen for the
/// first.
///
/// A grant covers exactly its address: listening on `0.0.0.0:9876` or `[::]:9876` requires `:9876`, or a
/// grant of just that address.
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
pub struct ListenGrant(Place);

/// Why a guest cannot be allowed to listen there, and what would be right.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct InvalidListenGrant(String);

impl ListenGrant {
    /// Returns the grant that would cover this address. For an unspecified address it is one of every
    /// interface, which also covers the other address of the dual-stack pair.
    pub(super) fn of(address: SocketAddr) -> Self {
        let (ip, port) = (address.ip(), address.port());
        let scope = scope_of(address);
        let host = match ip.is_unspecified() {
            true => PlaceHost::Any,
            false => PlaceHost::Ip { ip, scope },
        };
        Self(Place { host, port })
    }

    pub(super) fn place(&self) -> Place {
        self.0
    }
}

/// What a guest can be granted is an address, since it creates its sockets itself.
const EXPECTED: &str = "a program listens on an address with a port, such as 127.0.0.1:9876, [::1]:9876 or \
                        localhost:9876, or :9876 for any interface";

impl FromStr for ListenGrant {
    type Err = InvalidListenGrant;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (host, port) = match text.parse::<ListenSource>() {
            Ok(ListenSource::Address(address)) => {
                let (ip, scope) = (address.ip(), scope_of(address));
                (PlaceHost::Ip { ip, scope }, address.port())
            }
            Ok(ListenSource::AnyInterface(port)) => (PlaceHost::Any, port),
            Ok(ListenSource::Name { host, port }) if host.eq_ignore_ascii_case("localhost") => {
                (PlaceHost::Localhost, port)
            }
            Ok(_) => return Err(InvalidListenGrant(EXPECTED.to_owned())),
            Err(SourceError::Invalid { problem, .. }) => {
                return Err(InvalidListenGrant(problem));
            }
            Err(error) => return Err(InvalidListenGrant(error.to_string())),
        };
        Ok(Self(Place { host, port }))
    }
}

impl fmt::Display for ListenGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { host, port } = self.0;
        match host {
            PlaceHost::Any => write!(f, ":{port}"),
            PlaceHost::Localhost => write!(f, "localhost:{port}"),
            PlaceHost::Ip {
                ip: IpAddr::V6(ip),
                scope,
            } => write!(f, "{}", SocketAddrV6::new(ip, port, 0, scope)),
            PlaceHost::Ip { ip, .. } => write!(f, "{}", SocketAddr::new(ip, port)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grant(text: &str) -> ListenGrant {
        text.parse().unwrap_or_else(|error| panic!("{error}"))
    }

    #[test]
    fn what_grants_an_address_does() {
        for (address, expected) in [
            ("127.0.0.1:80", "127.0.0.1:80"),
            ("[::1]:0", "[::1]:0"),
            ("[fe80::1%2]:80", "[fe80::1%2]:80"),
            ("0.0.0.0:80", ":80"),
            ("[::]:80", ":80"),
        ] {
            let address = address.parse().expect("an address");
            assert_eq!(ListenGrant::of(address).to_string(), expected);
            assert!(grant(expected).place().allows_bind(address, None));
        }
    }

    #[test]
    fn what_is_displayed_is_the_same_grant() {
        for text in ["127.0.0.1:80", "[::1]:0", ":80", "localhost:80"] {
            assert_eq!(grant(text).to_string(), text);
        }
        assert_eq!(grant("LocalHost:80"), grant("localhost:80"));
    }

    #[test]
    fn what_a_guest_cannot_bind_is_refused_with_what_would_be_right() {
        for (text, hint) in [
            ("", "such as 127.0.0.1:9876"),
            ("80", "write :80"),
            ("127.0.0.1", "127.0.0.1:9876"),
            ("a.example:80", "a program listens on an address"),
            ("unix:/x", "a program listens on an address"),
            ("fd:3", "a program listens on an address"),
            ("systemd", "a program listens on an address"),
        ] {
            let error = text.parse::<ListenGrant>().expect_err("no place");
            assert!(error.to_string().contains(hint), "{text:?}: {error}");
        }
    }
}
