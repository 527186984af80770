use super::*;
use crate::scratch::Scratch;
use rustix::net::{SocketFlags, socket_with};
use std::io::ErrorKind;
use std::net::{TcpStream, UdpSocket};
use std::os::fd::{AsFd, AsRawFd, IntoRawFd};
use std::os::unix::net::{UnixDatagram, UnixStream};

/// Returns a duplicate, which is not close-on-exec, like an inherited descriptor.
fn inherited(socket: impl AsFd) -> OwnedFd {
    rustix::io::dup(socket).expect("a duplicate")
}

#[allow(unsafe_code, reason = "these tests give their descriptors away")]
fn claim() {
    // SAFETY: whatever is not close-on-exec here was duplicated in order to be taken.
    unsafe { claim_inherited_descriptors() }
}

fn taken(socket: impl AsFd) -> Opened {
    let number = inherited(socket).into_raw_fd();
    claim();
    take(number).unwrap_or_else(|error| panic!("{error}"))
}

/// Returns the error for a descriptor that cannot be listened on: one line, with its number.
fn refused(socket: impl AsFd) -> String {
    let socket = inherited(socket);
    let number = socket.as_raw_fd();
    claim();
    let error = take(number).expect_err("it is refused").to_string();
    assert!(!error.contains('\n'), "{error}");
    // It was not taken: its flags are unchanged, and the test still owns it.
    let flags = fcntl_getfd(&socket).expect("open");
    assert!(!flags.contains(FdFlags::CLOEXEC));
    error.replace(&format!("descriptor {number} "), "descriptor N ")
}

fn is_cloexec(socket: impl AsFd) -> bool {
    fcntl_getfd(socket)
        .expect("open")
        .contains(FdFlags::CLOEXEC)
}

#[test]
fn a_tcp_socket_is_taken() {
    for address in ["127.0.0.1:0", "[::1]:0"] {
        let Ok(socket) = TcpListener::bind(address) else {
            continue; // no IPv6 here
        };
        let address = socket.local_addr().expect("its address");
        let opened = taken(&socket);
        drop(socket);
        assert_eq!(opened.to_string(), address.to_string());
        let Opened::Tcp { listener, shared } = opened else {
            panic!("{opened:?}")
        };
        assert!(shared);
        assert!(is_cloexec(&listener));
        let error = listener.accept().expect_err("nobody is there");
        assert_eq!(error.kind(), ErrorKind::WouldBlock);
        drop(TcpStream::connect(address).expect("it listens"));
        drop(listener);
        TcpListener::bind(address).expect("the address is free again");
    }
}

#[test]
fn a_unix_socket_is_taken_and_its_path_stays() {
    let scratch = Scratch::new();
    let path = scratch.join("a.sock");
    let opened = taken(UnixListener::bind(&path).expect("a socket"));
    assert_eq!(opened.to_string(), format!("unix:{}", path.display()));
    let Opened::Unix {
        file,
        listener,
        shared,
    } = opened
    else {
        panic!("{opened:?}")
    };
    assert!(shared);
    assert!(file.is_none());
    assert!(is_cloexec(&listener));
    let error = listener.accept().expect_err("nobody is there");
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    UnixStream::connect(&path).expect("it listens");
    drop(listener);
    assert_eq!(scratch.contents(), ["a.sock"]);
}

#[test]
fn a_number_is_taken_once() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let number = inherited(&socket).into_raw_fd();
    claim();
    let _first = take(number).expect("it was passed");
    let error = take(number).expect_err("it has an owner").to_string();
    let expected = "was not passed to this process, or is in use in it already";
    assert_eq!(error, format!("descriptor {number} {expected}"));
}

#[test]
fn a_socket_of_this_process_is_not_taken() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    claim();
    let error = take(socket.as_raw_fd()).expect_err("it has an owner");
    assert!(matches!(error, SourceError::NotInherited(_)), "{error}");
    socket.local_addr().expect("it is open");
}

#[test]
fn a_number_that_is_not_open_is_named() {
    claim();
    let error = take(i32::MAX).expect_err("it is not open").to_string();
    assert!(
        error.starts_with("descriptor 2147483647 is not open"),
        "{error}"
    );
}

#[test]
fn the_standard_streams_are_not_taken() {
    for number in [-1, i32::MIN, 0, 1, 2] {
        let error = take(number).expect_err("it is refused");
        assert!(matches!(error, SourceError::StandardStream(_)), "{error}");
    }
}

#[test]
fn what_is_no_socket_is_refused() {
    let file = std::fs::File::open("/dev/null").expect("a file");
    assert_eq!(refused(&file), "descriptor N is not a socket");
    let (reader, _writer) = std::io::pipe().expect("a pipe");
    assert_eq!(refused(&reader), "descriptor N is not a socket");
}

#[test]
fn what_is_no_stream_is_refused() {
    let expected = "descriptor N is a datagram socket: it has to be a stream socket";
    let socket = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    assert_eq!(refused(&socket), expected);
    let (socket, _other) = UnixDatagram::pair().expect("sockets");
    assert_eq!(refused(&socket), expected);
    let flags = SocketFlags::CLOEXEC;
    let socket = socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let expected = "descriptor N is a packet socket: it has to be a stream socket";
    assert_eq!(refused(socket.expect("a socket")), expected);
}

#[test]
fn what_does_not_listen_is_refused() {
    let expected =
        "descriptor N is a socket that does not listen: whoever passes it has to listen(2)";
    let flags = SocketFlags::CLOEXEC;
    let bound = socket_with(AddressFamily::INET, SocketType::STREAM, flags, None);
    let bound = bound.expect("a socket");
    assert_eq!(refused(&bound), expected);
    let any_port: std::net::SocketAddr = "127.0.0.1:0".parse().expect("an address");
    rustix::net::bind(&bound, &any_port).expect("bound");
    assert_eq!(refused(&bound), expected);
}

#[test]
fn what_is_connected_is_refused() {
    let expected =
        "descriptor N is a connection: it has to be a socket that listens (for systemd: Accept=no)";
    let listener = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = listener.local_addr().expect("its address");
    let connection = TcpStream::connect(address).expect("connected");
    assert_eq!(refused(&connection), expected);
    let (connection, _other) = UnixStream::pair().expect("sockets");
    assert_eq!(refused(&connection), expected);
}

#[test]
fn a_socket_of_another_family_is_refused() {
    let flags = SocketFlags::CLOEXEC;
    // Kernels without it, and sandboxes, have no such sockets.
    if let Ok(socket) = socket_with(AddressFamily::VSOCK, SocketType::STREAM, flags, None) {
        let expected = "descriptor N is neither an IPv4, nor an IPv6, nor a Unix socket";
        assert_eq!(refused(&socket), expected);
    }
}

#[test]
fn a_socket_that_is_owned_is_no_number() {
    let socket = TcpListener::bind("127.0.0.1:0").expect("a socket");
    let address = socket.local_addr().expect("its address").to_string();
    let opened = Opened::from_fd(socket.into()).expect("it listens");
    assert_eq!(opened.to_string(), address);
    let datagrams = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let error = Opened::from_fd(datagrams.into()).expect_err("no stream");
    assert!(error.to_string().contains("datagram"), "{error}");
}
