//! The socket below a session, as what rustls reads from and writes to.

use crate::Plain;
use crate::transport::uninit::uninit;
#[cfg(unix)]
use std::io::IoSlice;
use std::io::{self, Read, Write};

/// Reads and writes without waiting: `WouldBlock` comes through.
pub struct Wire<'a>(pub &'a Plain);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(uninit(buffer))
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_send(bytes)
    }

    #[cfg(unix)]
    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_send_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
