//! Sockets of another program, inherited as a number.

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

/// Whether descriptors that were inherited belong to this library.
static CLAIMED: AtomicBool = AtomicBool::new(false);

/// Lets [`ListenSource`](crate::ListenSource)s take the sockets that this process has inherited: `fd:3`,
/// `systemd`. Without this, to open one of them is [`SourceError::NotClaimed`]. (A socket that you have as an
/// `OwnedFd` takes [`Opened::from_fd`] instead.)
///
/// # Safety
/// From now on, the descriptors from 3 on that are open and not close-on-exec belong to this library: nothing
/// else in the process may own one of them, or use it without asking. What Rust's libraries open is
/// close-on-exec.
#[allow(
    unsafe_code,
    reason = "whoever calls it gives descriptors away by their numbers"
)]
pub unsafe fn claim_inherited_descriptors() {
    CLAIMED.store(true, Ordering::Relaxed);
}

/// Take the listening socket with this number. It belongs to what this returns.
///
/// An inherited descriptor has passed through exec(2), and so is not close-on-exec; those that this
/// process has opened are, as Rust's libraries open all of theirs. It is made so when it is taken.
/// That flag, in the kernel, is the list of what has an owner: a number is taken once, and never
/// from somebody who has opened it here.
#[allow(unsafe_code, reason = "a descriptor that was inherited is a number")]
pub fn take(number: i32) -> Result<Opened, SourceError> {
    // Between looking at the flag and setting it, nobody else may look.
    static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());
    let _alone = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);

    if number < 3 {
        return Err(SourceError::StandardStream(number));
    }
    if !CLAIMED.load(Ordering::Relaxed) {
        return Err(SourceError::NotClaimed(number));
    }
    // SAFETY: it is not -1. It is used for system calls only, in this function, and if the number is
    // not open they say so.
    let borrowed = unsafe { BorrowedFd::borrow_raw(number) };
    check_inherited(borrowed, number)?;
    let family = check(borrowed, number)?;
    fcntl_setfd(borrowed, FdFlags::CLOEXEC)
        .map_err(|error| failed(format!("take descriptor {number}"), error))?;
    // SAFETY: it is open, and nothing here owns it: it was not close-on-exec until now (see above), and such
    // descriptors were given to this library.
    let owned = unsafe { OwnedFd::from_raw_fd(number) };
    listening(owned, family, number)
}

impl Opened {
    /// A socket that listens, TCP or Unix, which other processes may have, too.
    ///
    /// # Errors
    /// [`SourceError`] if it is something else.
    pub fn from_fd(socket: OwnedFd) -> Result<Self, SourceError> {
        let number = socket.as_raw_fd();
        let family = check(socket.as_fd(), number)?;
        listening(socket, family, number)
    }
}

fn listening(owned: OwnedFd, family: Family, number: i32) -> Result<Opened, SourceError> {
    let not_blocking = |error| failed(format!("set up descriptor {number}"), error);
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

/// Whether nothing in this process has opened it.
fn check_inherited(descriptor: BorrowedFd<'_>, number: i32) -> Result<(), SourceError> {
    match fcntl_getfd(descriptor) {
        Ok(flags) if flags.contains(FdFlags::CLOEXEC) => Err(SourceError::NotInherited(number)),
        Ok(_) => Ok(()),
        Err(Errno::BADF) => Err(SourceError::NotOpen(number)),
        Err(error) => Err(failed(format!("look at descriptor {number}"), error)),
    }
}

/// Whether it is a socket on which connections can be accepted, and of which family.
fn check(socket: BorrowedFd<'_>, number: i32) -> Result<Family, SourceError> {
    let look = |error| match error {
        Errno::BADF => SourceError::NotOpen(number),
        Errno::NOTSOCK => SourceError::NotASocket(number),
        error => failed(format!("look at descriptor {number}"), error),
    };
    let kind = match sockopt::socket_type(socket).map_err(look)? {
        SocketType::STREAM => None,
        SocketType::DGRAM => Some("datagram"),
        SocketType::SEQPACKET => Some("packet"),
        SocketType::RAW => Some("raw"),
        _ => Some("strange"),
    };
    if let Some(kind) = kind {
        return Err(SourceError::NotAStream { number, kind });
    }
    let family = match getsockname(socket).map_err(look)?.address_family() {
        AddressFamily::INET | AddressFamily::INET6 => Family::Internet,
        AddressFamily::UNIX => Family::Unix,
        _ => return Err(SourceError::UnknownFamily(number)),
    };
    // Apple's systems cannot tell; accept(2) will.
    #[cfg(not(target_vendor = "apple"))]
    if !sockopt::socket_acceptconn(socket).map_err(look)? {
        return Err(match rustix::net::getpeername(socket) {
            Ok(_) => SourceError::IsConnected(number),
            Err(_) => SourceError::NotListening(number),
        });
    }
    Ok(family)
}

#[cfg(test)]
mod tests;
