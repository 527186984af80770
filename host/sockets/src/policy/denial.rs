//! Refused operations of a guest, with messages that name the flag that grants them.

use std::fmt;
use std::net::SocketAddr;

/// An operation that a guest attempted and that is not allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Denial<'a> {
    /// Creating a TCP socket: nothing that requires one is granted.
    AnySocket,
    /// Binding a socket to this address.
    Bind(SocketAddr),
    /// Listening on this address.
    Listen(SocketAddr),
    /// Connecting to this address.
    Connect(SocketAddr),
    /// Resolving a name, in ASCII.
    LookUp(&'a str),
    /// Accepting a connection that is not the guest's own on a listener without a grant, at this address.
    Accept(SocketAddr),
    /// Binding to this address: the guest may, but the operating system does not permit it to this process.
    LowPort(SocketAddr),
    /// Creating a UDP socket: nothing that requires one is granted.
    AnyUdpSocket,
    /// Binding a UDP socket to this address.
    UdpBind(SocketAddr),
    /// Sending datagrams to this address.
    UdpSend(SocketAddr),
    /// Having more than this many descriptors.
    Descriptors(usize),
    /// Having a descriptor: those of all guests together are used up.
    NoDescriptors,
    /// Writing as much as it likes: this many bytes are on their way.
    Unsent(usize),
    /// Looking up more than this many names at a time.
    LookUps(usize),
}

impl Denial<'_> {
    /// Returns whether the guest has reached a limit, of which it is told once, rather than lacks a grant.
    pub fn is_limit(&self) -> bool {
        match self {
            Self::Descriptors(_) | Self::NoDescriptors | Self::Unsent(_) | Self::LookUps(_) => true,
            Self::AnySocket
            | Self::Bind(_)
            | Self::Listen(_)
            | Self::Connect(_)
            | Self::LookUp(_)
            | Self::Accept(_)
            | Self::LowPort(_)
            | Self::AnyUdpSocket
            | Self::UdpBind(_)
            | Self::UdpSend(_) => false,
        }
    }
}

/// Receives the denials of a guest.
pub trait OnDenied: fmt::Debug + Send + Sync {
    /// Reports a denial. The guest waits meanwhile: this must not block.
    fn denied(&self, denial: Denial<'_>);
}

/// The flag of the command that grants an operation, the method of the library that does, and their value.
struct Flag<'a>(&'a str, &'a str, &'a dyn fmt::Display);

impl fmt::Display for Flag<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(flag, method, value) = self;
        write!(
            f,
            ": grant it with {flag} {value} (in the library, GrantsBuilder::{method})"
        )
    }
}

fn connect(value: &dyn fmt::Display) -> Flag<'_> {
    Flag("--allow-connect", "connect", value)
}

fn udp(value: &dyn fmt::Display) -> Flag<'_> {
    Flag("--allow-udp", "udp", value)
}

/// What raises a limit.
fn raised(limit: &str) -> String {
    format!(": raise the limit with --max-{limit} (in the library, Limits::max_{limit})")
}

impl fmt::Display for Denial<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AnySocket => write!(f, "may have no sockets of its own{}", connect(&"HOST:PORT")),
            Self::Bind(address) => write!(f, "may not bind a socket to {address}"),
            Self::Listen(address) => write!(f, "may not listen on {address}"),
            Self::Connect(address) => {
                write!(
                    f,
                    "may not connect to {address}{}",
                    connect(&AnyPort(*address))
                )
            }
            Self::LookUp(name) => {
                let value = format_args!("{name}:PORT");
                write!(f, "may not look {name} up{}", connect(&value))
            }
            Self::Accept(address) => write!(f, "may have no peers but itself on {address}"),
            Self::LowPort(address) => write!(
                f,
                "cannot bind a socket to {address}: Permission denied: this process may not; give it a port \
                 from 1024 on, or allow lower ones with `setcap cap_net_bind_service=+ep` on evconn's file or \
                 with `sysctl net.ipv4.ip_unprivileged_port_start`"
            ),
            Self::AnyUdpSocket => write!(f, "may have no UDP sockets{}", udp(&"HOST:PORT")),
            Self::UdpBind(address) => write!(
                f,
                "may not bind a UDP socket to {address}{}",
                Flag("--listen-udp", "listen_udp", address)
            ),
            Self::UdpSend(address) => {
                write!(f, "may not send datagrams to {address}{}", udp(address))
            }
            Self::Descriptors(most) => write!(
                f,
                "may have no more than {most} descriptors (sockets, files and directories){}",
                raised("descriptors")
            ),
            Self::NoDescriptors => f.write_str(
                "gets no more descriptors: all services of this process together have used up those that its \
                 limit of open files (ulimit -n) leaves to them",
            ),
            Self::Unsent(most) => write!(
                f,
                "has used up the {most} bytes that it may have on their way to peers or from files{}",
                raised("unsent")
            ),
            Self::LookUps(most) => write!(f, "may look up no more than {most} names at a time"),
        }
    }
}

/// An address in a flag. Port 0 stands for one that the system has chosen, and will not choose again.
struct AnyPort(SocketAddr);

impl fmt::Display for AnyPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let text = self.0.to_string();
        match text.strip_suffix(":0") {
            Some(host) => write!(f, "{host}:*"),
            None => f.write_str(&text),
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

    #[test]
    fn a_port_that_the_system_chose_is_not_in_the_flag() {
        let address = "192.0.2.1:0".parse().expect("an address");
        let text = Denial::Connect(address).to_string();
        assert!(text.contains("--allow-connect 192.0.2.1:* "), "{text}");
    }

    #[test]
    fn datagrams_have_flags_of_their_own() {
        let address = "192.0.2.1:53".parse().expect("an address");
        for (denial, flag) in [
            (Denial::AnyUdpSocket, "--allow-udp HOST:PORT "),
            (Denial::UdpSend(address), "--allow-udp 192.0.2.1:53 "),
            (Denial::UdpBind(address), "--listen-udp 192.0.2.1:53 "),
        ] {
            assert!(denial.to_string().contains(flag), "{denial}");
        }
    }
}
