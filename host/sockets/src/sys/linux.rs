//! What only Linux has for sockets.
#![allow(
    unsafe_code,
    reason = "TCP_FASTOPEN, TCP_DEFER_ACCEPT and SIOCOUTQ have no safe wrapper in the crates used here"
)]

use socket2::{Domain, Protocol, SockFilter, Socket, Type};
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::time::Duration;

/// Lets data come with the first packet of a connection (RFC 7413). `queue`: how many such connections
/// may wait for the end of their handshake.
pub fn set_fast_open(socket: &Socket, queue: u32) -> io::Result<()> {
    set_tcp_option(socket, libc::TCP_FASTOPEN, queue)
}

/// Lets a connection be accepted when its peer has sent something, or after about that time: Linux
/// counts in retransmissions of its answer (tcp(7)).
pub fn set_defer_accept(socket: &Socket, time: Duration) -> io::Result<()> {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    set_tcp_option(socket, libc::TCP_DEFER_ACCEPT, seconds)
}

/// Drops the first packet of each new connection (SYN without ACK), and lets all others pass.
pub fn drop_first_packets(socket: &Socket) -> io::Result<()> {
    const FLAGS_OF_TCP: u32 = 13;
    const SYN: u32 = 0x02;
    const ACK: u32 = 0x10;
    const PASS: u32 = u32::MAX;
    const DROP: u32 = 0;
    let step = |code: u32, if_so, if_not, value| SockFilter::new(code as u16, if_so, if_not, value);
    socket.attach_filter(&[
        step(
            libc::BPF_LD | libc::BPF_B | libc::BPF_ABS,
            0,
            0,
            FLAGS_OF_TCP,
        ),
        step(libc::BPF_ALU | libc::BPF_AND | libc::BPF_K, 0, 0, SYN | ACK),
        step(libc::BPF_JMP | libc::BPF_JEQ | libc::BPF_K, 0, 1, SYN),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, DROP),
        step(libc::BPF_RET | libc::BPF_K, 0, 0, PASS),
    ])
}

/// Whether a handshake is under way for a TCP socket that listens on this port. The kernel is asked
/// for their list, by sock_diag(7); its first message says whether there are any.
pub fn has_handshakes(port: u16) -> io::Result<bool> {
    for family in [libc::AF_INET, libc::AF_INET6] {
        let protocol = Protocol::from(libc::NETLINK_SOCK_DIAG);
        let mut kernel = Socket::new(Domain::from(libc::AF_NETLINK), Type::RAW, Some(protocol))?;
        kernel.send(&handshakes_request(family, port))?;
        let mut answer = [0; 8192];
        let count = kernel.read(&mut answer)?;
        if is_a_socket(&answer[..count])? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// The type of a message that asks for sockets, or is about one (linux/sock_diag.h).
const SOCK_DIAG_BY_FAMILY: u16 = 20;

/// `struct nlmsghdr` and `struct inet_diag_req_v2` (linux/inet_diag.h): sockets of TCP in the state
/// `TCP_SYN_RECV`, on this local port.
fn handshakes_request(family: libc::c_int, port: u16) -> Vec<u8> {
    const SIZE: u32 = 16 + 56;
    const SYN_RECEIVED: u32 = 1 << 3;
    let flags = (libc::NLM_F_REQUEST | libc::NLM_F_DUMP) as u16;
    let mut request = Vec::with_capacity(SIZE as usize);
    request.extend(SIZE.to_ne_bytes());
    request.extend(SOCK_DIAG_BY_FAMILY.to_ne_bytes());
    request.extend(flags.to_ne_bytes());
    // The number of the message, and who asks: the kernel knows.
    request.extend([0; 8]);
    request.extend([family as u8, libc::IPPROTO_TCP as u8, 0, 0]);
    request.extend(SYN_RECEIVED.to_ne_bytes());
    request.extend(port.to_be_bytes());
    // Whatever the other side's port, and the addresses.
    request.resize(SIZE as usize, 0);
    request
}

/// What the first message of an answer is: one about a socket, or the end of the list. Or an error.
fn is_a_socket(answer: &[u8]) -> io::Result<bool> {
    let field = |range| answer.get(range).ok_or(io::ErrorKind::InvalidData);
    let kind: [u8; 2] = field(4..6)?.try_into().map_err(io::Error::other)?;
    match u16::from_ne_bytes(kind) {
        SOCK_DIAG_BY_FAMILY => Ok(true),
        kind if i32::from(kind) == libc::NLMSG_DONE => Ok(false),
        kind if i32::from(kind) == libc::NLMSG_ERROR => {
            let code: [u8; 4] = field(16..20)?.try_into().map_err(io::Error::other)?;
            let errno = i32::from_ne_bytes(code).wrapping_neg();
            Err(io::Error::from_raw_os_error(errno))
        }
        _ => Err(io::ErrorKind::InvalidData.into()),
    }
}

/// Whether a TCP socket has sent, or is about to, what its peer has not acknowledged (tcp(7), SIOCOUTQ).
pub fn has_unacknowledged(socket: &Socket) -> bool {
    let mut count: libc::c_int = 0;
    // SAFETY: the descriptor is open for as long as the socket is borrowed; the kernel writes an int, to one that
    // lives across the call.
    let result = unsafe { libc::ioctl(socket.as_raw_fd(), libc::TIOCOUTQ, &raw mut count) };
    result == 0 && count > 0
}

fn set_tcp_option(socket: &Socket, option: libc::c_int, value: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open for as long as the socket is borrowed; `value` is an int, lives across
    // the call, and its size is given.
    let result = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_TCP,
            option,
            (&raw const value).cast(),
            size_of_val(&value) as libc::socklen_t,
        )
    };
    match result {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use socket2::SockRef;
    use std::net::{TcpListener, TcpStream};

    fn get(socket: &Socket, option: libc::c_int) -> libc::c_int {
        let mut value: libc::c_int = 0;
        let mut size = size_of_val(&value) as libc::socklen_t;
        // SAFETY: the descriptor is open; `value` is an int that lives across the call, and `size`
        // says how large it is.
        let result = unsafe {
            libc::getsockopt(
                socket.as_raw_fd(),
                libc::IPPROTO_TCP,
                option,
                (&raw mut value).cast(),
                &raw mut size,
            )
        };
        assert_eq!(result, 0);
        value
    }

    #[test]
    fn the_kernel_knows_of_them() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a listener");
        let listener = SockRef::from(&listener);
        set_fast_open(&listener, 16).expect("set");
        assert_eq!(get(&listener, libc::TCP_FASTOPEN), 16);
        set_defer_accept(&listener, Duration::from_millis(10)).expect("set");
        // In seconds, rounded up to what a number of retransmissions comes to.
        assert!(get(&listener, libc::TCP_DEFER_ACCEPT) >= 1);
        set_defer_accept(&listener, Duration::ZERO).expect("set");
        assert_eq!(get(&listener, libc::TCP_DEFER_ACCEPT), 0);
    }

    #[test]
    fn handshakes_that_are_under_way_are_seen() {
        for address in ["127.0.0.1:0", "[::1]:0"] {
            let Ok(listener) = TcpListener::bind(address) else {
                continue; // no IPv6 here
            };
            let address = listener.local_addr().expect("its address");
            let under_way = || has_handshakes(address.port()).expect("the kernel answers");
            assert!(!under_way());
            let _connected = TcpStream::connect(address).expect("connected");
            assert!(!under_way());
            // It is connected in its own eyes; here it is not before it has sent something.
            set_defer_accept(&SockRef::from(&listener), Duration::from_secs(60)).expect("set");
            let _silent = TcpStream::connect(address).expect("connected");
            assert!(under_way());
        }
    }

    #[test]
    fn an_answer_that_is_an_error_is_one() {
        let mut answer = vec![0; 20];
        answer[4] = libc::NLMSG_ERROR as u8;
        answer[16..].copy_from_slice(&(-libc::ENOENT).to_ne_bytes());
        let error = is_a_socket(&answer).expect_err("an error");
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
        assert!(is_a_socket(&answer[..5]).is_err());
    }
}
