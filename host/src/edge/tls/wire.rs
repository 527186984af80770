//! The socket below a session, as what rustls reads from and writes to.

use crate::edge::plain::Plain;
use crate::edge::receive::uninit;
use std::io::{self, IoSlice, Read, Write};

/// Reads and writes without waiting: `WouldBlock` comes through.
pub(super) struct Wire<'a>(pub &'a Plain);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(uninit(buffer))
    }
}

impl Write for Wire<'_> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.0.try_send(bytes)
    }

    fn write_vectored(&mut self, pieces: &[IoSlice<'_>]) -> io::Result<usize> {
        self.0.try_send_vectored(pieces)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
