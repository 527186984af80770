//! The sockets that this process has open, found by their port: tests run in parallel, so that
//! counting all descriptors would count those of others.

use socket2::SockRef;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;

/// How many sockets are bound to `address` in this process: a listener, and what it accepted.
pub fn bound_to(address: SocketAddr) -> usize {
    let mut count = 0;
    for_each(address, |_| count += 1);
    count
}

/// Shut the listening socket on `address` down, so that accept fails on it from now on.
pub fn break_listening(address: SocketAddr) {
    let mut broken = 0;
    for_each(address, |socket| {
        if socket.is_listener().expect("SO_ACCEPTCONN") {
            socket
                .shutdown(std::net::Shutdown::Both)
                .expect("shut down");
            broken += 1;
        }
    });
    assert_eq!(broken, 1, "one socket listens on {address}");
}

/// Do something with each of them.
pub fn for_each(address: SocketAddr, mut action: impl FnMut(SockRef<'_>)) {
    for entry in std::fs::read_dir("/proc/self/fd").expect("the list of descriptors") {
        let name = entry.expect("an entry").file_name();
        let number = name.to_str().and_then(|name| name.parse().ok());
        let number = number.expect("a descriptor's number");
        // SAFETY: the number comes from the list of open descriptors. Another test may close it
        // meanwhile, and then it is somebody else's or nobody's: a socket is used only if it has the
        // address of this test.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        let socket = SockRef::from(&descriptor);
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        if local == Some(address) {
            action(socket);
        }
    }
}
