//! What a guest was refused, in words that say what would grant it.

use std::fmt;
use std::net::SocketAddr;

/// What a guest asked for and may not have.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Denial<'a> {
    /// It is granted nothing that takes a socket.
    AnySocket,
    Bind(SocketAddr),
    Listen(SocketAddr),
    Connect(SocketAddr),
    /// A name, in ASCII.
    LookUp(&'a str),
}

/// Who is told of denials.
pub(crate) trait OnDenied: fmt::Debug + Send + Sync {
    /// The guest is waiting: this must not block.
    fn denied(&self, denial: Denial<'_>);
}

impl fmt::Display for Denial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let flag = |f: &mut fmt::Formatter<'_>, value: &dyn fmt::Display| {
            write!(
                f,
                ": grant it with --allow-connect {value} (in the library, GrantsBuilder::connect)"
            )
        };
        match self {
            Self::AnySocket => {
                write!(f, "may have no sockets of its own")?;
                flag(f, &"HOST:PORT")
            }
            Self::Bind(address) => write!(f, "may not bind a socket to {address}"),
            Self::Listen(address) => write!(f, "may not listen on {address}"),
            Self::Connect(address) => {
                write!(f, "may not connect to {address}")?;
                flag(f, address)
            }
            Self::LookUp(name) => {
                write!(f, "may not look {name} up")?;
                flag(f, &format_args!("{name}:PORT"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_would_grant_it() {
        let address = "[2001:db8::1]:80".parse().expect("an address");
        assert_eq!(
            Denial::Connect(address).to_string(),
            "may not connect to [2001:db8::1]:80: grant it with --allow-connect [2001:db8::1]:80 \
             (in the library, GrantsBuilder::connect)"
        );
        let name = Denial::LookUp("db.example").to_string();
        assert!(name.contains("--allow-connect db.example:PORT "), "{name}");
    }
}
