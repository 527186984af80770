//! What a component may do with sockets: the acceptor just its own addresses, a service nothing.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::sockets::SocketAddrUse;

/// A context in which a listener can be made on `address`, and nothing else can be done.
///
/// A dual-stack listener needs a second socket, on the address of IPv4 that means the same.
pub fn grant_listening(address: SocketAddr, dual_stack: bool) -> WasiCtx {
    let second = dual_stack.then(|| counterpart(address)).flatten();
    WasiCtx::builder()
        .allow_tcp(true)
        .socket_addr_check(move |used, used_for| {
            let granted = may_listen(address, second, used, used_for);
            Box::pin(std::future::ready(granted))
        })
        .build()
}

/// A context without network, files, environment, arguments, input or output.
pub fn grant_nothing() -> WasiCtx {
    WasiCtx::builder().build()
}

/// What else a dual-stack listener on an IPv6 address listens on: any interface's address of IPv4
/// for any interface's of IPv6, the loopback one for the loopback one.
fn counterpart(address: SocketAddr) -> Option<SocketAddr> {
    let SocketAddr::V6(address) = address else {
        return None;
    };
    let ip = match *address.ip() {
        Ipv6Addr::UNSPECIFIED => Ipv4Addr::UNSPECIFIED,
        Ipv6Addr::LOCALHOST => Ipv4Addr::LOCALHOST,
        _ => return None,
    };
    Some(SocketAddr::new(ip.into(), address.port()))
}

fn may_listen(
    first: SocketAddr,
    second: Option<SocketAddr>,
    used: SocketAddr,
    used_for: SocketAddrUse,
) -> bool {
    // Where port 0 is granted, the kernel chooses one.
    let chosen = |granted: SocketAddr| {
        granted.ip() == used.ip() && (granted.port() == used.port() || granted.port() == 0)
    };
    match used_for {
        // The address as it was asked for: of the second socket, with the port of the first.
        SocketAddrUse::TcpBind => used == first || second.is_some_and(chosen),
        // The address that it became.
        SocketAddrUse::TcpListen => chosen(first) || second.is_some_and(chosen),
        // The peer's address. Whom to refuse is not decided here.
        SocketAddrUse::TcpAccept => true,
        SocketAddrUse::TcpConnect
        | SocketAddrUse::UdpBind
        | SocketAddrUse::UdpSend
        | SocketAddrUse::UdpReceive => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> SocketAddr {
        text.parse().expect("a literal address")
    }

    /// Whether `used` is granted where `first` is, with its counterpart if there is one.
    fn granted(first: &str, used: &str, used_for: SocketAddrUse) -> bool {
        let first = address(first);
        may_listen(first, counterpart(first), address(used), used_for)
    }

    #[test]
    fn only_the_granted_address_can_be_bound() {
        let bind = |used| granted("127.0.0.1:80", used, SocketAddrUse::TcpBind);
        assert!(bind("127.0.0.1:80"));
        assert!(!bind("127.0.0.1:81"));
        assert!(!bind("127.0.0.1:0"));
        assert!(!bind("0.0.0.0:80"));
        assert!(!bind("[::1]:80"));
    }

    #[test]
    fn port_zero_listens_on_whatever_it_became() {
        let listen = |used| granted("127.0.0.1:0", used, SocketAddrUse::TcpListen);
        assert!(listen("127.0.0.1:40000"));
        assert!(!listen("127.0.0.2:40000"));
        assert!(!granted(
            "127.0.0.1:0",
            "127.0.0.1:40000",
            SocketAddrUse::TcpBind
        ));
    }

    #[test]
    fn dual_stack_may_bind_the_same_port_of_ipv4() {
        assert!(granted("[::]:80", "0.0.0.0:80", SocketAddrUse::TcpBind));
        assert!(!granted("[::]:80", "0.0.0.0:81", SocketAddrUse::TcpBind));
        assert!(!granted("[::]:80", "127.0.0.1:80", SocketAddrUse::TcpBind));
        assert!(granted(
            "[::1]:0",
            "127.0.0.1:40000",
            SocketAddrUse::TcpBind
        ));
        assert!(!granted("[::2]:0", "0.0.0.0:40000", SocketAddrUse::TcpBind));
        let first = address("[::]:80");
        assert!(!may_listen(
            first,
            None,
            address("0.0.0.0:80"),
            SocketAddrUse::TcpBind
        ));
    }

    #[test]
    fn connecting_and_datagrams_are_never_granted() {
        for used_for in [
            SocketAddrUse::TcpConnect,
            SocketAddrUse::UdpBind,
            SocketAddrUse::UdpSend,
            SocketAddrUse::UdpReceive,
        ] {
            assert!(
                !granted("127.0.0.1:80", "127.0.0.1:80", used_for),
                "{used_for:?}"
            );
        }
    }
}
