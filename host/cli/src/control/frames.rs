//! The encoding of messages: a header with the length of the text and the number of descriptors, then JSON.

use crate::sys::descriptors::MAX_DESCRIPTORS;
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::VecDeque;
use std::io;
use std::os::fd::OwnedFd;

/// The length of a header: two numbers of 32 bits.
const HEADER: usize = 8;

/// Maximum length of a text, which is more than any message has: a command line can have 2 MiB and more.
const MAX_TEXT: usize = 16 << 20;

/// Maximum number of descriptors that wait for the rest of a message: its own, and those that came with the bytes
/// behind it. Otherwise a process could use up the descriptors of the other one.
const MOST_WAITING: usize = 2 * MAX_DESCRIPTORS;

/// An encoded message.
pub struct Frame {
    pub bytes: Vec<u8>,
    pub descriptors: Vec<OwnedFd>,
}

impl Frame {
    pub fn new(message: &impl Serialize, descriptors: Vec<OwnedFd>) -> io::Result<Self> {
        let text = serde_json::to_vec(message)?;
        let number = |count: usize| u32::try_from(count).map_err(|_| invalid("it is too long"));
        let mut bytes = Vec::with_capacity(HEADER + text.len());
        bytes.extend_from_slice(&number(text.len())?.to_le_bytes());
        bytes.extend_from_slice(&number(descriptors.len())?.to_le_bytes());
        bytes.extend_from_slice(&text);
        Ok(Self { bytes, descriptors })
    }
}

/// Received bytes and descriptors that are not a whole message yet.
#[derive(Default)]
pub struct Inbox {
    pub bytes: Vec<u8>,
    pub descriptors: VecDeque<OwnedFd>,
}

impl Inbox {
    /// Returns the next message with its descriptors, if all of it has arrived.
    ///
    /// # Errors
    /// If it is not a valid message.
    pub fn next<M: DeserializeOwned>(&mut self) -> io::Result<Option<(M, Vec<OwnedFd>)>> {
        if self.descriptors.len() > MOST_WAITING {
            return Err(invalid("it has too many descriptors"));
        }
        let Some((header, rest)) = self.bytes.split_first_chunk::<HEADER>() else {
            return Ok(None);
        };
        let [length, count] = [0, 4].map(|at| {
            u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]])
                as usize
        });
        if length > MAX_TEXT {
            return Err(invalid("it is too long"));
        }
        let Some(text) = rest.get(..length) else {
            return Ok(None);
        };
        let message = serde_json::from_slice(text)?;
        if count > self.descriptors.len() {
            return Err(invalid("descriptors are missing: too many files are open"));
        }
        let descriptors = self.descriptors.drain(..count).collect();
        self.bytes.drain(..HEADER + length);
        Ok(Some((message, descriptors)))
    }
}

fn invalid(why: &str) -> io::Error {
    io::Error::new(
        io::ErrorKind::InvalidData,
        format!("a message between processes is invalid: {why}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_arrives_in_any_parts() {
        let frame = Frame::new(&("hello", 7), Vec::new()).expect("short");
        let twice = frame.bytes.repeat(2);
        let mut inbox = Inbox::default();
        let mut received = Vec::new();
        for byte in twice {
            inbox.bytes.push(byte);
            while let Some((message, _)) = inbox.next::<(String, u32)>().expect("valid") {
                received.push(message);
            }
        }
        let message = ("hello".to_owned(), 7);
        assert_eq!(received, [message.clone(), message]);
        assert!(inbox.bytes.is_empty());
    }

    #[test]
    fn what_is_no_message_is_an_error() {
        for bytes in [
            &[0xff; 8][..],
            &[1, 0, 0, 0, 0, 0, 0, 0, b'x'],
            // A descriptor that did not come.
            &[1, 0, 0, 0, 1, 0, 0, 0, b'1'],
        ] {
            let mut inbox = Inbox::default();
            inbox.bytes.extend_from_slice(bytes);
            assert!(inbox.next::<u32>().is_err(), "{bytes:?}");
        }
    }

    #[test]
    fn descriptors_that_belong_to_no_message_do_not_pile_up() {
        let mut inbox = Inbox::default();
        let one = std::fs::File::open("/dev/null").expect("opened");
        for _ in 0..MOST_WAITING {
            let copy = one.try_clone().expect("a copy");
            inbox.descriptors.push_back(copy.into());
            assert!(matches!(inbox.next::<u32>(), Ok(None)));
        }
        inbox.descriptors.push_back(one.into());
        let error = inbox.next::<u32>().expect_err("too many");
        assert!(
            error.to_string().contains("too many descriptors"),
            "{error}"
        );
    }
}
