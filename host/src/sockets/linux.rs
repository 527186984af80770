//! Options of listening sockets that only Linux has, and no crate here knows of.

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd};
use std::time::Duration;

/// Let data come with the first packet of a connection (RFC 7413). `queue`: how many such connections
/// may wait for the end of their handshake.
pub(super) fn set_fast_open(socket: BorrowedFd<'_>, queue: u32) -> io::Result<()> {
    set_tcp_option(socket, libc::TCP_FASTOPEN, queue)
}

/// Let a connection be accepted when its peer has sent something, or after about that time: Linux
/// counts in retransmissions of its answer (tcp(7)).
pub(super) fn set_defer_accept(socket: BorrowedFd<'_>, time: Duration) -> io::Result<()> {
    let seconds = time.as_secs() + u64::from(time.subsec_nanos() > 0);
    let seconds = u32::try_from(seconds).unwrap_or(u32::MAX);
    set_tcp_option(socket, libc::TCP_DEFER_ACCEPT, seconds)
}

fn set_tcp_option(socket: BorrowedFd<'_>, option: libc::c_int, value: u32) -> io::Result<()> {
    let value = libc::c_int::try_from(value).unwrap_or(libc::c_int::MAX);
    // SAFETY: the descriptor is open for as long as it is borrowed; `value` is an int, lives across
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
    use std::os::fd::AsFd;

    fn get(socket: BorrowedFd<'_>, option: libc::c_int) -> libc::c_int {
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
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a listener");
        set_fast_open(listener.as_fd(), 16).expect("set");
        assert_eq!(get(listener.as_fd(), libc::TCP_FASTOPEN), 16);
        set_defer_accept(listener.as_fd(), Duration::from_millis(10)).expect("set");
        // In seconds, rounded up to what a number of retransmissions comes to.
        assert!(get(listener.as_fd(), libc::TCP_DEFER_ACCEPT) >= 1);
    }
}
