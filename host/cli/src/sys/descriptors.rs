//! Sends and receives descriptors through a Unix socket.

use rustix::io::{FdFlags, fcntl_setfd};
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer,
    SendAncillaryMessage, SendFlags, recvmsg, sendmsg,
};
use std::collections::VecDeque;
use std::io::{self, IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Maximum number of descriptors of a message. Linux allows 253.
pub const MAX_DESCRIPTORS: usize = 64;

/// Maximum number of bytes received at a time.
const CHUNK: usize = 16 << 10;

/// Sends some of the bytes, and all descriptors with the first of them. Returns the number of bytes sent.
pub fn send(socket: impl AsFd, bytes: &[u8], descriptors: &[OwnedFd]) -> io::Result<usize> {
    let descriptors: Vec<BorrowedFd<'_>> = descriptors.iter().map(AsFd::as_fd).collect();
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !descriptors.is_empty() && !control.push(SendAncillaryMessage::ScmRights(&descriptors)) {
        return Err(io::Error::other("a message has too many descriptors"));
    }
    let bytes = [IoSlice::new(bytes)];
    // Rust's programs ignore SIGPIPE.
    Ok(sendmsg(socket, &bytes, &mut control, SendFlags::empty())?)
}

/// Receives bytes and descriptors, and appends them. Returns the number of bytes, which is 0 at the end.
pub fn receive(
    socket: impl AsFd,
    bytes: &mut Vec<u8>,
    descriptors: &mut VecDeque<OwnedFd>,
) -> io::Result<usize> {
    let mut chunk = [0; CHUNK];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(MAX_DESCRIPTORS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut into = [IoSliceMut::new(&mut chunk)];
    let count = recvmsg(socket, &mut into, &mut control, FLAGS)?.bytes;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(received) = message {
            for descriptor in received {
                // Linux has set it already.
                fcntl_setfd(&descriptor, FdFlags::CLOEXEC)?;
                descriptors.push_back(descriptor);
            }
        }
    }
    bytes.extend_from_slice(&chunk[..count]);
    Ok(count)
}

#[cfg(target_os = "linux")]
const FLAGS: RecvFlags = RecvFlags::CMSG_CLOEXEC;
#[cfg(not(target_os = "linux"))]
const FLAGS: RecvFlags = RecvFlags::empty();

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::net::UnixStream;

    #[test]
    fn a_descriptor_refers_to_the_same_file_on_the_other_side() {
        let (here, there) = UnixStream::pair().expect("a pair");
        let (mine, yours) = UnixStream::pair().expect("a pair");
        let sent = send(&here, b"take this", &[yours.into()]).expect("sent");
        assert_eq!(sent, 9);
        let (mut bytes, mut descriptors) = (Vec::new(), VecDeque::new());
        let received = receive(&there, &mut bytes, &mut descriptors).expect("received");
        assert_eq!((received, &bytes[..]), (9, &b"take this"[..]));
        let yours = UnixStream::from(descriptors.pop_front().expect("one"));
        io::Write::write_all(&mut &yours, b"x").expect("written");
        let mut byte = [0];
        io::Read::read_exact(&mut &mine, &mut byte).expect("read");
        assert_eq!(&byte, b"x");
        drop(here);
        let end = receive(&there, &mut bytes, &mut descriptors).expect("received");
        assert_eq!(end, 0);
    }
}
