//! Listening sockets that this process has inherited as numbered descriptors.

use super::{Opened, SourceError, failed};
use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};
use rustix::net::{AddressFamily, SocketType, getsockname, sockopt};
use std::net::TcpListener;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Mutex, PoisonError};

enum Family {
    Internet,
    Unix,
}

/// Whether this library may take inherited descriptors.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// Allows [`ListenSource`](crate::ListenSource)s to take the sockets that this process has inherited:
/// `fd:3`, `systemd`. Without this call, opening one of these fails with [`SourceError::NotClaimed`]. For
/// a socket that you have as an `OwnedFd`, use [`Opened::from_fd`] instead.
///
/// # Safety
/// From this call on, every open descriptor from 3 on that is not close-on-exec belongs to this library:
/// nothing else in the process may own such a descriptor or use it. Rust's libraries open all of theirs
/// close-on-exec.
#[allow(
    unsafe_code,
    reason = "whoever calls it gives descriptors away by their numbers"
)]
pub unsafe fn claim_inherited_descriptors() {
    CLAIMED.store(true, Ordering::Relaxed);
}

/// Takes the listening socket with this number. The returned value owns it.
///
/// An inherited descriptor has passed through exec(2), so it is not close-on-exec; the descriptors that
/// this process has opened are, as in all of Rust's libraries. Taking a descriptor sets the flag. So the
/// kernel's flag records which descriptors have an owner: each number is taken at most once, and never
/// from code that has opened it in this process.
#[allow(unsafe_code, reason = "a descriptor that was inherited is a number")]
pub fn take(number: i32) -> Result<Opened, SourceError> {
    // Checking the flag and setting it has to be atomic.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    if number < 3 {
        return Err(SourceError::StandardStream(number));
    }
    if !CLAIMED.load(Ordering::Relaxed) {
        return Err(SourceError::NotClaimed(number));
    }
    // SAFETY: it is not -1. It is used only for system calls in this function, which fail if the number
    // is not open.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    check_inherited(borrowed, number)?;
    let family = check(borrowed, number)?;
    fcntl_setfd(borrowed, FdFlags::CLOEXEC)
        .map_err(|error| failed(format!("take descriptor {number}"), error))?;
    // SAFETY: it is open, and nothing here owns it: it was not close-on-exec until now (see above), and
    // such descriptors were given to this library.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    listening(owned, family, number)
}

impl Opened {
    /// Wraps a listening socket, TCP or Unix, which other processes may share: see
    /// [`shared`](Self::shared). It becomes non-blocking for all of them.
    ///
    /// # Errors
    /// [`SourceError`] if it is not a listening stream socket.
    pub fn from_fd(socket: OwnedFd) -> Result<Self, SourceError> {
        let number = socket.as_raw_fd();
        let family = check(socket.as_fd(), number)?;
        listening(socket, family, number)
    }
}

fn listening(owned: OwnedFd, family: Family, number: i32) -> Result<Opened, SourceError> {
    let not_blocking = |error| failed(format!("make descriptor {number} non-blocking"), error);
    match family {
        Family::Internet => {
            let listener = TcpListener::from(owned);
            listener.set_nonblocking(true).map_err(not_blocking)?;
            let shared = true;
            Ok(Opened::Tcp { listener, shared })
        }
        Family::Unix => {
            let listener = UnixListener::from(owned);
            listener.set_nonblocking(true).map_err(not_blocking)?;
            Ok(Opened::Unix {
                file: None,
                listener,
                shared: true,
            })
        }
    }
}

/// Checks that nothing in this process has opened the descriptor.
fn check_inherited(descriptor: BorrowedFd<'_>, number: i32) -> Result<(), SourceError> {
    match fcntl_getfd(descriptor) {
        Ok(flags) if flags.contains(FdFlags::CLOEXEC) => Err(SourceError::NotInherited(number)),
        Ok(_) => Ok(()),
        Err(Errno::BADF) => Err(SourceError::NotOpen(number)),
        Err(error) => Err(failed(format!("inspect descriptor {number}"), error)),
    }
}

/// Checks that it is a socket on which connections can be accepted, and returns its family.
fn check(socket: BorrowedFd<'_>, number: i32) -> Result<Family, SourceError> {
    let inspection = |error| match error {
        Errno::BADF => SourceError::NotOpen(number),
        Errno::NOTSOCK => SourceError::NotASocket(number),
        error => failed(format!("inspect descriptor {number}"), error),
    };
    let kind = match sockopt::socket_type(socket).map_err(inspection)? {
        SocketType::STREAM => None,
        SocketType::DGRAM => Some("datagram"),
        SocketType::SEQPACKET => Some("packet"),
        SocketType::RAW => Some("raw"),
        _ => Some("strange"),
    };
    if let Some(kind) = kind {
        return Err(SourceError::NotAStream { number, kind });
    }
    let family = match getsockname(socket).map_err(inspection)?.address_family() {
        AddressFamily::INET | AddressFamily::INET6 => Family::Internet,
        AddressFamily::UNIX => Family::Unix,
        _ => return Err(SourceError::UnknownFamily(number)),
    };
    // Apple's systems have no SO_ACCEPTCONN; accept(2) reports the error there.
    #[cfg(not(target_vendor = "apple"))]
    if !sockopt::socket_acceptconn(socket).map_err(inspection)? {
        return Err(match rustix::net::getpeername(socket) {
            Ok(_) => SourceError::IsConnected(number),
            Err(_) => SourceError::NotListening(number),
        });
    }
    Ok(family)
}

#[cfg(test)]
mod tests;
