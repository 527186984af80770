//! The addresses from which the client connects.
//!
//! The client closes first, so its port stays in TIME_WAIT and cannot be used to connect to the same
//! server for a minute. By default, Linux has 28,232 ports for clients, and when more than half of them
//! are in use, finding a free one takes noticeably longer. But all of 127.0.0.0/8 is this machine, so
//! each measurement uses an address of its own.

use anyhow::{Context, Result};
use std::io;
use std::net::Ipv4Addr;
use std::os::fd::AsRawFd;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::net::TcpSocket;

/// Addresses that no other measurement connects from.
pub struct Sources(AtomicU32);

impl Sources {
    pub fn new() -> Self {
        // An earlier run may have ended less than a minute ago.
        Self(AtomicU32::new(std::process::id() << 10))
    }

    pub fn next(&self) -> Ipv4Addr {
        const FIRST: u32 = Ipv4Addr::new(127, 64, 0, 0).to_bits();
        const COUNT: u32 = 1 << 22;
        let number = self.0.fetch_add(1, Ordering::Relaxed) % COUNT;
        Ipv4Addr::from_bits(FIRST + number)
    }
}

/// Returns a socket that connects from this address.
pub fn socket(source: Ipv4Addr) -> Result<TcpSocket> {
    let socket = TcpSocket::new_v4()?;
    choose_port_late(&socket)?;
    let bound = socket.bind((source, 0).into());
    bound.with_context(|| format!("cannot connect from {source}"))?;
    Ok(socket)
}

/// Lets the kernel choose the port when the server's address is known.
fn choose_port_late(socket: &TcpSocket) -> io::Result<()> {
    let yes: libc::c_int = 1;
    // SAFETY: the socket is open, and the size is that of the option.
    let code = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            libc::IPPROTO_IP,
            libc::IP_BIND_ADDRESS_NO_PORT,
            (&raw const yes).cast(),
            size_of_val(&yes) as libc::socklen_t,
        )
    };
    match code {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
