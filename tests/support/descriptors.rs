//! The open descriptors of this process. Tests run in parallel, so counting all descriptors would include
//! those of other tests: sockets are found by their port, and all descriptors are counted only if tests
//! run one at a time.

use super::{DEADLINE, host, limit};
use socket2::SockRef;
use std::net::SocketAddr;
use std::os::fd::BorrowedFd;
use std::time::{Duration, Instant};

/// Set if tests run one at a time: see `tests/hygiene.rs`.
pub const ONE_AT_A_TIME: &str = "EVCONN_TESTS_ONE_AT_A_TIME";

/// Checks, when it is dropped, that as many descriptors are open as when it was created. Create it first
/// in a test, so that it is dropped last.
#[must_use]
pub struct Unchanged(Option<usize>);

/// See [`Unchanged`].
pub fn unchanged() -> Unchanged {
    Unchanged(std::env::var_os(ONE_AT_A_TIME).map(|_| {
        // It is made once and stays.
        host();
        count()
    }))
}

/// Returns how many descriptors are open, but for the compiled code that wasmtime keeps for the next instance.
fn count() -> usize {
    let is_code = |number: &u64| {
        std::fs::read_link(format!("/proc/self/fd/{number}"))
            .is_ok_and(|target| target.starts_with("/memfd:wasm-memory-image (deleted)"))
    };
    limit::open()
        .iter()
        .filter(|number| !is_code(number))
        .count()
}

impl Drop for Unchanged {
    fn drop(&mut self) {
        let Some(before) = self.0 else { return };
        let deadline = Instant::now() + DEADLINE / 4;
        // Descriptors are closed when a task of the runtime gets to run.
        while count() > before && !std::thread::panicking() {
            let open = limit::open();
            assert!(
                Instant::now() < deadline,
                "{before} were open, now {open:?}"
            );
            std::thread::sleep(Duration::from_millis(1));
        }
    }
}

/// Returns how many sockets are bound to `address` in this process: a listener, and what it accepted.
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

/// Does something with each of them.
pub fn for_each(address: SocketAddr, mut action: impl FnMut(SockRef<'_>)) {
    let is_ours = |socket: &SockRef<'_>| {
        let local = socket.local_addr().ok().and_then(|local| local.as_socket());
        local == Some(address)
    };
    for number in limit::open() {
        let number = i32::try_from(number).expect("a descriptor's number");
        // SAFETY: the number comes from the list of open descriptors. Another thread may close it
        // meanwhile, and then it is somebody else's or nobody's: it is only looked at, and what is
        // done is done to a duplicate.
        let descriptor = unsafe { BorrowedFd::borrow_raw(number) };
        if !is_ours(&SockRef::from(&descriptor)) {
            continue;
        }
        // The duplicate stays what it is: what it is now decides.
        if let Ok(duplicate) = descriptor.try_clone_to_owned() {
            let socket = SockRef::from(&duplicate);
            if is_ours(&socket) {
                action(socket);
            }
        }
    }
}
