//! What a component may do with sockets: the acceptor just its own addresses, a service nothing.

use std::net::SocketAddr;
use wasmtime_wasi::WasiCtx;
use wasmtime_wasi::sockets::SocketAddrUse;

/// A context in which `addresses` can be bound and listened on, and nothing else can be done.
pub fn grant_listening(addresses: Vec<SocketAddr>) -> WasiCtx {
    WasiCtx::builder()
        .allow_tcp(true)
        .socket_addr_check(move |address, used_for| {
            let granted = may_listen(&addresses, address, used_for);
            Box::pin(std::future::ready(granted))
        })
        .build()
}

/// A context without network, files, environment, arguments, input or output.
pub fn grant_nothing() -> WasiCtx {
    WasiCtx::builder().build()
}

fn may_listen(granted: &[SocketAddr], address: SocketAddr, used_for: SocketAddrUse) -> bool {
    match used_for {
        // The address as it was asked for.
        SocketAddrUse::TcpBind => granted.contains(&address),
        // The address that it became: where port 0 was granted, the kernel has chosen one.
        SocketAddrUse::TcpListen => granted.iter().any(|granted| {
            granted.ip() == address.ip()
                && (granted.port() == address.port() || granted.port() == 0)
        }),
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

    #[test]
    fn only_the_granted_address_can_be_bound() {
        let granted = [address("127.0.0.1:80")];
        let bind = |text| may_listen(&granted, address(text), SocketAddrUse::TcpBind);
        assert!(bind("127.0.0.1:80"));
        assert!(!bind("127.0.0.1:81"));
        assert!(!bind("127.0.0.1:0"));
        assert!(!bind("0.0.0.0:80"));
        assert!(!bind("[::1]:80"));
    }

    #[test]
    fn port_zero_listens_on_whatever_it_became() {
        let granted = [address("127.0.0.1:0")];
        let listen = |text| may_listen(&granted, address(text), SocketAddrUse::TcpListen);
        assert!(listen("127.0.0.1:40000"));
        assert!(!listen("127.0.0.2:40000"));
        assert!(!may_listen(
            &granted,
            address("127.0.0.1:40000"),
            SocketAddrUse::TcpBind
        ));
    }

    #[test]
    fn connecting_and_datagrams_are_never_granted() {
        let granted = [address("127.0.0.1:80")];
        for used_for in [
            SocketAddrUse::TcpConnect,
            SocketAddrUse::UdpBind,
            SocketAddrUse::UdpSend,
            SocketAddrUse::UdpReceive,
        ] {
            assert!(!may_listen(&granted, granted[0], used_for), "{used_for:?}");
        }
    }
}
