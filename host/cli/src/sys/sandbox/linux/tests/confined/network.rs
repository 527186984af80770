//! Which sockets there are.

use super::*;
use rustix::net::{
    AddressFamily, RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, SocketFlags, SocketType, ipproto, recvmsg, sendmsg, socket,
    socketpair,
};
use std::io::{IoSlice, IoSliceMut, Read, Write};
use std::mem::MaybeUninit;
use std::net::{TcpListener, TcpStream, ToSocketAddrs, UdpSocket};
use std::os::fd::{AsFd, AsRawFd};
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};

fn needing(network: bool) -> Needs {
    Needs {
        network,
        ..Needs::default()
    }
}

fn of_family(family: AddressFamily, kind: SocketType) -> std::io::Result<()> {
    Ok(socket(family, kind, None).map(drop)?)
}

#[test]
#[ignore = "another test runs it"]
fn without_a_grant_there_is_no_network() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    let mut peer = TcpStream::connect(address).expect("connected");
    if !confine(&needing(false)) {
        return;
    }
    denied(TcpStream::connect(address));
    denied(TcpListener::bind("127.0.0.1:0"));
    denied(UdpSocket::bind("127.0.0.1:0"));
    denied(UnixStream::pair().and_then(|_| UnixDatagram::unbound()));
    denied(("localhost", 0).to_socket_addrs().map_err(without_its_kind));
    // What was passed is served.
    let (mut accepted, _) = listener.accept().expect("accepted");
    accepted.set_nodelay(true).expect("set");
    accepted.write_all(b"text").expect("written");
    accepted
        .shutdown(std::net::Shutdown::Write)
        .expect("shut down");
    let mut text = String::new();
    peer.read_to_string(&mut text).expect("read");
    assert_eq!(text, "text");
    // Its connection can be ended, by an address that is no more than its family.
    for (family, result) in [
        (libc::AF_UNSPEC, Ok(())),
        (libc::AF_INET, Err(ErrorKind::InvalidInput)),
    ] {
        let connected = connect_to_family(&accepted, family as libc::sa_family_t);
        assert_eq!(connected.map_err(|error| error.kind()), result, "{family}");
    }
}

#[allow(unsafe_code, reason = "no safe function takes such an address")]
fn connect_to_family(socket: &TcpStream, family: libc::sa_family_t) -> std::io::Result<()> {
    let length = size_of::<libc::sa_family_t>() as libc::socklen_t;
    // SAFETY: the address is as long as that.
    let result = unsafe { libc::connect(socket.as_raw_fd(), (&raw const family).cast(), length) };
    match result {
        0 => Ok(()),
        _ => Err(std::io::Error::last_os_error()),
    }
}

/// What seccomp would deny first.
#[test]
#[ignore = "another test runs it"]
fn landlock_denies_tcp_and_signals_by_itself() {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    if !is_child() {
        return;
    }
    let missing = confine_files(&needing(false)).expect("the files are confined");
    if !missing.is_empty() {
        return println!("skipped: {missing:?}");
    }
    denied(TcpStream::connect(address));
    denied(TcpListener::bind("127.0.0.1:0"));
    let parent = rustix::process::getppid().expect("a parent");
    denied(rustix::process::test_kill_process(parent).map_err(Into::into));
    let own = rustix::process::test_kill_process(rustix::process::getpid());
    own.expect("a signal to itself");
}

/// Whatever the C library says of a name that it does not find.
fn without_its_kind(error: std::io::Error) -> std::io::Error {
    println!("{error}");
    ErrorKind::PermissionDenied.into()
}

#[test]
#[ignore = "another test runs it"]
fn with_a_grant_there_is_the_internet_and_nothing_else() {
    let path = scratch().join("socket");
    let _listener = UnixListener::bind(&path).expect("a listener");
    if !confine(&needing(true)) {
        return;
    }
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    TcpStream::connect(listener.local_addr().expect("its address")).expect("connected");
    let udp = UdpSocket::bind("127.0.0.1:0").expect("a socket");
    let address = udp.local_addr().expect("its address");
    assert_eq!(udp.send_to(b"text", address).expect("sent"), 4);
    denied(UnixStream::connect(&path));
    for family in [AddressFamily::UNIX, AddressFamily::PACKET] {
        denied(of_family(family, SocketType::DGRAM));
    }
    let ping = socket(AddressFamily::INET, SocketType::RAW, Some(ipproto::ICMP));
    denied(ping.map_err(Into::into));
    denied(of_family(AddressFamily::NETLINK, SocketType::RAW));
}

/// As the control socket passes listening sockets and compiled code.
#[test]
#[ignore = "another test runs it"]
fn descriptors_are_passed() {
    let flags = SocketFlags::CLOEXEC;
    let pair = socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, flags, None);
    let (here, there) = pair.expect("a pair");
    let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
    let address = listener.local_addr().expect("its address");
    if !confine(&needing(false)) {
        return;
    }
    let passed = [listener.as_fd()];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    assert!(control.push(SendAncillaryMessage::ScmRights(&passed)));
    sendmsg(
        &here,
        &[IoSlice::new(b"x")],
        &mut control,
        SendFlags::empty(),
    )
    .expect("sent");
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut byte = [0];
    let buffers = &mut [IoSliceMut::new(&mut byte)];
    recvmsg(&there, buffers, &mut control, RecvFlags::CMSG_CLOEXEC).expect("received");
    let received = control.drain().find_map(|message| match message {
        RecvAncillaryMessage::ScmRights(mut descriptors) => descriptors.next(),
        _ => None,
    });
    let received = TcpListener::from(received.expect("a descriptor"));
    assert_eq!(received.local_addr().expect("its address"), address);
}
