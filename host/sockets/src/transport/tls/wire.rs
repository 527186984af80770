//! The socket below a session, as what rustls reads from and writes to.

use crate::transport::plain::Plain;
use std::io::{self, IoSlice, Read, Write};

/// Reads and writes without waiting: `WouldBlock` comes through.
pub struct Wire<'a>(pub &'a Plain);

impl Read for Wire<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.try_recv(buffer)
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
