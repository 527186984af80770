//! Headers through real sockets.

use super::*;
use tokio::io::AsyncWriteExt;
use tokio::net::{TcpListener, TcpStream};

const HEADER: &[u8] = b"PROXY TCP4 192.0.2.1 192.0.2.2 8080 80\r\n";

/// Returns this side of a connection, the peer's side, and the peer's address.
async fn pair() -> (Plain, TcpStream, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("its address");
    let (accepted, connected) = tokio::join!(listener.accept(), TcpStream::connect(address));
    let (stream, peer) = accepted.expect("accepted");
    let plain = Plain::tcp(stream.into_std().expect("a socket"));
    (plain, connected.expect("connected"), peer)
}

fn from_loopback() -> ProxyProtocol {
    let trusted = TrustedProxies::none().network("127.0.0.0/8");
    ProxyProtocol::new(trusted.expect("a network"))
}

async fn refusal(input: &[u8]) -> String {
    let (plain, mut peer, address) = pair().await;
    peer.write_all(input).await.expect("sent");
    peer.shutdown().await.expect("ended");
    let result = from_loopback().announced(&plain, address).await;
    result.expect_err("refused").to_string()
}

#[tokio::test]
async fn the_announced_address_is_the_peers_and_the_rest_stays() {
    let (plain, mut peer, address) = pair().await;
    let bytes = [HEADER, b"hello"].concat();
    peer.write_all(&bytes).await.expect("sent");
    let announced = from_loopback().announced(&plain, address).await;
    let expected = "192.0.2.1:8080".parse().expect("an address");
    assert_eq!(announced.expect("a header"), Some(expected));
    let mut rest = [0; 8];
    let count = plain.recv_now(&mut rest).expect("the rest");
    assert_eq!(&rest[..count], b"hello");
}

#[tokio::test]
async fn a_header_may_arrive_byte_by_byte() {
    let (plain, mut peer, address) = pair().await;
    peer.set_nodelay(true).expect("set");
    let send = async {
        for byte in HEADER {
            peer.write_all(&[*byte]).await.expect("sent");
            tokio::task::yield_now().await;
        }
    };
    let proxy = from_loopback();
    let (announced, ()) = tokio::join!(proxy.announced(&plain, address), send);
    assert_eq!(
        announced.expect("a header").expect("an address").port(),
        8080
    );
}

#[tokio::test]
async fn the_longest_header_of_the_specification_is_taken() {
    let (plain, mut peer, address) = pair().await;
    let addresses = b"\xc0\0\x02\x01\xc0\0\x02\x02\x1f\x90\0\x50";
    let fields = [0; 65_535 - 12];
    let fixed = b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff";
    let bytes = [&fixed[..], addresses, &fields, b"hello"].concat();
    let send = async { peer.write_all(&bytes).await.expect("sent") };
    let proxy = from_loopback();
    let (announced, ()) = tokio::join!(proxy.announced(&plain, address), send);
    let expected = "192.0.2.1:8080".parse().expect("an address");
    assert_eq!(announced.expect("a header"), Some(expected));
    let mut rest = [0; 8];
    let count = plain.recv_now(&mut rest).expect("the rest");
    assert_eq!(&rest[..count], b"hello");
}

#[tokio::test]
async fn a_local_connection_keeps_its_address() {
    let (plain, mut peer, address) = pair().await;
    let header = b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0";
    peer.write_all(header).await.expect("sent");
    let announced = from_loopback().announced(&plain, address).await;
    assert_eq!(announced.expect("a header"), None);
}

#[tokio::test]
async fn each_refusal_says_why() {
    for (input, cause) in [
        (&b""[..], "the peer closed it before it sent anything"),
        (
            b"PROXY TCP4 192.0",
            "PROXY header: the connection ends in the middle of it",
        ),
        (
            b"GET / HTTP/1.1\r\n\r\n",
            "PROXY header: there is none: it began with \"GET / HTTP/1.1\\r\"",
        ),
        (
            b"PROXY TCP9 192.0.2.1 192.0.2.2 8080 80\r\n",
            "PROXY header: it is neither TCP4, TCP6 nor UNKNOWN",
        ),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\xff\xff",
            "PROXY header: the connection ends in the middle of it",
        ),
    ] {
        assert_eq!(refusal(input).await, cause);
    }
}

#[tokio::test]
async fn who_is_not_trusted_is_refused_whatever_it_sends() {
    let (plain, mut peer, address) = pair().await;
    peer.write_all(HEADER).await.expect("sent");
    let proxy = ProxyProtocol::new(TrustedProxies::none());
    let refused = proxy.announced(&plain, address).await;
    assert!(matches!(refused, Err(Refused::UntrustedProxy)));
}

#[tokio::test]
async fn a_header_that_does_not_come_is_not_waited_for_for_ever() {
    let (plain, _peer, address) = pair().await;
    let proxy = from_loopback().timeout(Duration::from_millis(50));
    let refused = proxy.announced(&plain, address).await;
    assert_eq!(
        refused.expect_err("refused").to_string(),
        "PROXY header: not complete within 50ms"
    );
}

#[cfg(unix)]
#[tokio::test]
async fn a_unix_socket_is_trusted_if_that_is_said() {
    let (stream, mut peer) = tokio::net::UnixStream::pair().expect("a pair");
    peer.write_all(HEADER).await.expect("sent");
    let plain = Plain::unix(stream.into_std().expect("a socket"));
    let unknown = SocketAddr::from(([127, 0, 0, 1], 0));
    let refused = from_loopback().announced(&plain, unknown).await;
    assert!(matches!(refused, Err(Refused::UntrustedProxy)));
    let trusted = TrustedProxies::none().unix_sockets(true);
    let announced = ProxyProtocol::new(trusted).announced(&plain, unknown).await;
    assert!(announced.expect("a header").is_some());
}
