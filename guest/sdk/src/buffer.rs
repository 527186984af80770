//! A queue of bytes that were read and not yet used, or are to be written.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

/// The capacity of a chunk to which small additions are appended.
const CHUNK: usize = 16 << 10;

/// Up to this many bytes are copied rather than moved: a chunk of their own would need a write of its own.
const MAX_COPIED: usize = 512;

/// A queue of bytes: libevent's `evbuffer`.
///
/// Bytes are added at the end and consumed at the front. A buffer implements the standard library's [`Read`],
/// [`BufRead`] and [`Write`], which never fail and never wait.
///
/// # Cost
/// The bytes are stored in chunks. The bytes of one read are one chunk, as the host has returned it, and
/// [`append`](Self::append) moves whole chunks, so that bytes pass from one connection to another without being
/// copied. [`write`](Write::write) and [`extend`](Self::extend) copy.
///
/// ```
/// use evconn_guest::Buffer;
///
/// let mut buffer = Buffer::new();
/// buffer.extend(b"one\ntwo\nthr");
/// assert_eq!(buffer.take_line().as_deref(), Some(&b"one\n"[..]));
/// assert_eq!(buffer.take_line().as_deref(), Some(&b"two\n"[..]));
/// assert_eq!(buffer.take_line(), None);
/// assert_eq!(buffer.len(), 3);
/// ```
#[derive(Default)]
pub struct Buffer {
    /// None of them is empty.
    chunks: VecDeque<Chunk>,
    len: usize,
}

struct Chunk {
    bytes: Vec<u8>,
    /// How many of them are consumed.
    used: usize,
}

impl Chunk {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }
}

impl Buffer {
    /// Makes an empty buffer, without an allocation.
    ///
    /// ```
    /// assert!(evconn_guest::Buffer::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// Returns the number of bytes: `evbuffer_get_length`.
    ///
    /// ```
    /// assert_eq!(evconn_guest::Buffer::from("three").len(), 5);
    /// ```
    pub fn len(&self) -> usize {
        self.len
    }

    /// Returns whether the buffer is empty.
    ///
    /// ```
    /// assert!(!evconn_guest::Buffer::from("some").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copies `bytes` to the end: `evbuffer_add`.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("some");
    /// buffer.extend(b" more");
    /// assert_eq!(buffer.into_vec(), b"some more");
    /// ```
    pub fn extend(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(last) = self.chunks.back_mut() {
            let free = last.bytes.capacity() - last.bytes.len();
            let (here, elsewhere) = rest.split_at(free.min(rest.len()));
            last.bytes.extend_from_slice(here);
            rest = elsewhere;
        }
        if !rest.is_empty() {
            // The first chunk has the length of its bytes, since most answers are one chunk. Further ones
            // have free capacity.
            let capacity = if self.chunks.is_empty() { 0 } else { CHUNK };
            let mut bytes = Vec::with_capacity(capacity.max(rest.len()));
            bytes.extend_from_slice(rest);
            self.chunks.push_back(Chunk { bytes, used: 0 });
        }
        self.len += bytes.len();
    }

    /// Moves all of `other` to the end: `evbuffer_add_buffer`. Up to 512 bytes are copied if they fit into
    /// the last chunk.
    ///
    /// ```
    /// use evconn_guest::Buffer;
    ///
    /// let (mut input, mut output) = (Buffer::from("echo"), Buffer::new());
    /// output.append(&mut input);
    /// assert!(input.is_empty());
    /// assert_eq!(output.into_vec(), b"echo");
    /// ```
    pub fn append(&mut self, other: &mut Self) {
        if let Some(last) = self.chunks.back()
            && other.len <= MAX_COPIED.min(last.bytes.capacity() - last.bytes.len())
        {
            for chunk in other.chunks.drain(..) {
                self.extend(chunk.rest());
            }
            other.len = 0;
            return;
        }
        self.len += std::mem::take(&mut other.len);
        if self.chunks.is_empty() {
            std::mem::swap(&mut self.chunks, &mut other.chunks);
        } else {
            self.chunks.append(&mut other.chunks);
        }
    }

    /// Returns all bytes in one vector. They are copied only if they are in several chunks, or partly consumed.
    ///
    /// ```
    /// assert_eq!(evconn_guest::Buffer::from("all").into_vec(), b"all");
    /// ```
    pub fn into_vec(mut self) -> Vec<u8> {
        self.take_bytes(self.len)
    }

    /// Takes the first `count` bytes, or all if there are fewer: `evbuffer_remove`.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("head and tail");
    /// assert_eq!(buffer.take_bytes(4), b"head");
    /// assert_eq!(buffer.len(), 9);
    /// ```
    pub fn take_bytes(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.len);
        if let Some(first) = self.chunks.front_mut()
            && first.used == 0
            && first.bytes.len() == count
        {
            self.len -= count;
            return self.chunks.pop_front().map_or(vec![], |chunk| chunk.bytes);
        }
        let mut taken = Vec::with_capacity(count);
        while taken.len() < count {
            let first = self.first();
            let part = &first[..first.len().min(count - taken.len())];
            taken.extend_from_slice(part);
            let used = part.len();
            self.consume(used);
        }
        taken
    }

    /// Takes the first line, including its `\n`: `evbuffer_readln`. Returns None if there is no complete line.
    /// The caller limits the length of a line by checking [`len`](Self::len).
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("GET / HTTP/1.0\r\n\r");
    /// assert_eq!(buffer.take_line().as_deref(), Some(&b"GET / HTTP/1.0\r\n"[..]));
    /// assert_eq!(buffer.take_line(), None);
    /// ```
    pub fn take_line(&mut self) -> Option<Vec<u8>> {
        let end = self.position(b'\n')?;
        Some(self.take_bytes(end + 1))
    }

    /// Returns the position of the first `byte`.
    ///
    /// ```
    /// assert_eq!(evconn_guest::Buffer::from("key=value").position(b'='), Some(3));
    /// ```
    pub fn position(&self, byte: u8) -> Option<usize> {
        let mut before = 0;
        for chunk in &self.chunks {
            let rest = chunk.rest();
            if let Some(position) = rest.iter().position(|other| *other == byte) {
                return Some(before + position);
            }
            before += rest.len();
        }
        None
    }

    /// Returns the bytes of the first chunk. They are empty only if the buffer is.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("front");
    /// assert_eq!(buffer.first(), b"front");
    /// ```
    pub fn first(&self) -> &[u8] {
        self.chunks.front().map_or(&[], Chunk::rest)
    }

    /// Removes the first `count` bytes, or all if there are fewer: `evbuffer_drain`.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("head and tail");
    /// buffer.consume(9);
    /// assert_eq!(buffer.into_vec(), b"tail");
    /// ```
    pub fn consume(&mut self, mut count: usize) {
        while let Some(first) = self.chunks.front_mut()
            && count > 0
        {
            let here = first.rest().len().min(count);
            first.used += here;
            self.len -= here;
            count -= here;
            if first.rest().is_empty() {
                self.chunks.pop_front();
            }
        }
    }

    /// Removes all bytes.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("removed");
    /// buffer.clear();
    /// assert!(buffer.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.chunks.clear();
        self.len = 0;
    }
}

/// Does not copy.
impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        let chunk = (len > 0).then_some(Chunk { bytes, used: 0 });
        Self {
            chunks: chunk.into_iter().collect(),
            len,
        }
    }
}

/// Does not copy.
impl From<String> for Buffer {
    fn from(text: String) -> Self {
        text.into_bytes().into()
    }
}

impl From<&str> for Buffer {
    fn from(text: &str) -> Self {
        text.as_bytes().into()
    }
}

impl From<&[u8]> for Buffer {
    fn from(bytes: &[u8]) -> Self {
        bytes.to_vec().into()
    }
}

impl Read for Buffer {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let first = self.first();
        let count = first.len().min(into.len());
        into[..count].copy_from_slice(&first[..count]);
        Self::consume(self, count);
        Ok(count)
    }
}

impl BufRead for Buffer {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        Ok(self.first())
    }

    fn consume(&mut self, count: usize) {
        Self::consume(self, count);
    }
}

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl fmt::Debug for Buffer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Buffer").field("len", &self.len).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_come_out_in_order() {
        let mut buffer = Buffer::new();
        let mut expected = Vec::new();
        for round in 0..200_u32 {
            let bytes = vec![round as u8; round as usize * 37 % 501];
            match round % 3 {
                0 => buffer.extend(&bytes),
                1 => buffer.append(&mut bytes.clone().into()),
                _ => buffer.write_all(&bytes).expect("it never fails"),
            }
            expected.extend(bytes);
            let count = round as usize * 53 % 301;
            let taken = buffer.take_bytes(count);
            let rest = expected.split_off(taken.len());
            assert_eq!(taken, expected);
            expected = rest;
            assert_eq!(buffer.len(), expected.len());
        }
        assert_eq!(buffer.into_vec(), expected);
    }

    #[test]
    fn a_line_may_be_in_many_chunks() {
        let mut buffer = Buffer::new();
        for part in ["on", "e l", "ine\nand", " more"] {
            buffer.append(&mut part.into());
        }
        assert_eq!(buffer.take_line(), Some(b"one line\n".to_vec()));
        assert_eq!(buffer.take_line(), None);
        let mut rest = String::new();
        buffer.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "and more");
    }

    #[test]
    fn chunks_are_moved_and_not_copied() {
        let bytes = vec![b'x'; MAX_COPIED + 1];
        let address = bytes.as_ptr();
        let mut input = Buffer::from(bytes);
        let mut output = Buffer::from("before");
        output.append(&mut input);
        output.consume(6);
        assert_eq!(output.first().as_ptr(), address);
        let bytes = output.into_vec();
        assert_eq!(bytes.as_ptr(), address);
    }

    #[test]
    fn small_additions_share_a_chunk() {
        let mut buffer = Buffer::new();
        for _ in 0..1000 {
            buffer.extend(b"0123456789");
        }
        assert!(buffer.chunks.len() <= 2, "{}", buffer.chunks.len());
    }

    #[test]
    fn a_count_beyond_the_length_takes_all() {
        let mut buffer = Buffer::from("all");
        buffer.consume(2);
        assert_eq!(buffer.take_bytes(100), b"l");
        buffer.consume(100);
        assert!(buffer.is_empty());
        assert!(Buffer::from(vec![]).chunks.is_empty());
    }
}
