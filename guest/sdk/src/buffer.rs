//! Bytes on their way: what was read and not yet used, or is to be written.

use std::collections::VecDeque;
use std::fmt;
use std::io::{self, BufRead, Read, Write};

/// Bytes that are added to one after another in a piece of this size.
const PIECE: usize = 16 << 10;

/// So few bytes are copied rather than moved: a piece for each of them would be a write for each.
const FEW: usize = 512;

/// A queue of bytes: libevent's `evbuffer`.
///
/// Bytes are added at the end, and used up from the front. It is a [`Read`], [`BufRead`] and
/// [`Write`] of the standard library; none of them ever fails or waits.
///
/// # Cost
/// The bytes are in pieces. What a connection has read is a piece as the host has handed it over,
/// and [`append`](Self::append) moves whole pieces, so that bytes go from one connection to another
/// without being copied. [`write`](Write::write) and [`extend`](Self::extend) copy.
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
    pieces: VecDeque<Piece>,
    len: usize,
}

struct Piece {
    bytes: Vec<u8>,
    /// How many of them are used up.
    used: usize,
}

impl Piece {
    fn rest(&self) -> &[u8] {
        &self.bytes[self.used..]
    }
}

impl Buffer {
    /// An empty one. It allocates nothing.
    ///
    /// ```
    /// assert!(evconn_guest::Buffer::new().is_empty());
    /// ```
    pub fn new() -> Self {
        Self::default()
    }

    /// How many bytes are in it: `evbuffer_get_length`.
    ///
    /// ```
    /// assert_eq!(evconn_guest::Buffer::from("three").len(), 5);
    /// ```
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether there are none.
    ///
    /// ```
    /// assert!(!evconn_guest::Buffer::from("some").is_empty());
    /// ```
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Copy `bytes` to the end: `evbuffer_add`.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("some");
    /// buffer.extend(b" more");
    /// assert_eq!(buffer.into_vec(), b"some more");
    /// ```
    pub fn extend(&mut self, bytes: &[u8]) {
        let mut rest = bytes;
        if let Some(last) = self.pieces.back_mut() {
            let room = last.bytes.capacity() - last.bytes.len();
            let (here, elsewhere) = rest.split_at(room.min(rest.len()));
            last.bytes.extend_from_slice(here);
            rest = elsewhere;
        }
        if !rest.is_empty() {
            // The first piece is made to measure: most answers are one. Who goes on gets room.
            let room = if self.pieces.is_empty() { 0 } else { PIECE };
            let mut piece = Vec::with_capacity(room.max(rest.len()));
            piece.extend_from_slice(rest);
            self.pieces.push_back(Piece {
                bytes: piece,
                used: 0,
            });
        }
        self.len += bytes.len();
    }

    /// Move all of `other` to the end: `evbuffer_add_buffer`. Nothing is copied but a few bytes that
    /// fit behind the last ones.
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
        if let Some(last) = self.pieces.back()
            && other.len <= FEW.min(last.bytes.capacity() - last.bytes.len())
        {
            for piece in other.pieces.drain(..) {
                self.extend(piece.rest());
            }
            other.len = 0;
            return;
        }
        self.len += std::mem::take(&mut other.len);
        if self.pieces.is_empty() {
            std::mem::swap(&mut self.pieces, &mut other.pieces);
        } else {
            self.pieces.append(&mut other.pieces);
        }
    }

    /// All of it, in one vector. It is copied only if it was in several pieces, or partly used up.
    ///
    /// ```
    /// assert_eq!(evconn_guest::Buffer::from("all").into_vec(), b"all");
    /// ```
    pub fn into_vec(mut self) -> Vec<u8> {
        self.take_bytes(self.len)
    }

    /// The first `count` bytes, or all if there are fewer: `evbuffer_remove`.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("head and tail");
    /// assert_eq!(buffer.take_bytes(4), b"head");
    /// assert_eq!(buffer.len(), 9);
    /// ```
    pub fn take_bytes(&mut self, count: usize) -> Vec<u8> {
        let count = count.min(self.len);
        if let Some(first) = self.pieces.front_mut()
            && first.used == 0
            && first.bytes.len() == count
        {
            self.len -= count;
            return self.pieces.pop_front().map_or(vec![], |piece| piece.bytes);
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

    /// The first line, up to and with its `\n`; None if there is no end of a line:
    /// `evbuffer_readln`. Whoever calls it decides how long a line may become, and looks at
    /// [`len`](Self::len).
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

    /// Where `byte` is for the first time.
    ///
    /// ```
    /// assert_eq!(evconn_guest::Buffer::from("key=value").position(b'='), Some(3));
    /// ```
    pub fn position(&self, byte: u8) -> Option<usize> {
        let mut before = 0;
        for piece in &self.pieces {
            let rest = piece.rest();
            if let Some(position) = rest.iter().position(|other| *other == byte) {
                return Some(before + position);
            }
            before += rest.len();
        }
        None
    }

    /// The bytes at the front that are in one piece. Empty only if the buffer is.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("front");
    /// assert_eq!(buffer.first(), b"front");
    /// ```
    pub fn first(&self) -> &[u8] {
        self.pieces.front().map_or(&[], Piece::rest)
    }

    /// Use up `count` bytes, or all if there are fewer: `evbuffer_drain`.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("head and tail");
    /// buffer.consume(9);
    /// assert_eq!(buffer.into_vec(), b"tail");
    /// ```
    pub fn consume(&mut self, mut count: usize) {
        while let Some(first) = self.pieces.front_mut()
            && count > 0
        {
            let here = first.rest().len().min(count);
            first.used += here;
            self.len -= here;
            count -= here;
            if first.rest().is_empty() {
                self.pieces.pop_front();
            }
        }
    }

    /// Forget all of it.
    ///
    /// ```
    /// let mut buffer = evconn_guest::Buffer::from("forgotten");
    /// buffer.clear();
    /// assert!(buffer.is_empty());
    /// ```
    pub fn clear(&mut self) {
        self.pieces.clear();
        self.len = 0;
    }
}

/// Without a copy.
impl From<Vec<u8>> for Buffer {
    fn from(bytes: Vec<u8>) -> Self {
        let len = bytes.len();
        let piece = (len > 0).then_some(Piece { bytes, used: 0 });
        Self {
            pieces: piece.into_iter().collect(),
            len,
        }
    }
}

/// Without a copy.
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
    fn what_is_added_comes_out_in_order() {
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
    fn a_line_may_be_in_many_pieces() {
        let mut buffer = Buffer::new();
        for piece in ["on", "e l", "ine\nand", " more"] {
            buffer.append(&mut piece.into());
        }
        assert_eq!(buffer.take_line(), Some(b"one line\n".to_vec()));
        assert_eq!(buffer.take_line(), None);
        let mut rest = String::new();
        buffer.read_to_string(&mut rest).expect("text");
        assert_eq!(rest, "and more");
    }

    #[test]
    fn pieces_are_moved_and_not_copied() {
        let bytes = vec![b'x'; FEW + 1];
        let place = bytes.as_ptr();
        let mut input = Buffer::from(bytes);
        let mut output = Buffer::from("before");
        output.append(&mut input);
        output.consume(6);
        assert_eq!(output.first().as_ptr(), place);
        let bytes = output.into_vec();
        assert_eq!(bytes.as_ptr(), place);
    }

    #[test]
    fn small_pieces_are_put_together() {
        let mut buffer = Buffer::new();
        for _ in 0..1000 {
            buffer.extend(b"0123456789");
        }
        assert!(buffer.pieces.len() <= 2, "{}", buffer.pieces.len());
    }

    #[test]
    fn more_than_there_is_is_all() {
        let mut buffer = Buffer::from("all");
        buffer.consume(2);
        assert_eq!(buffer.take_bytes(100), b"l");
        buffer.consume(100);
        assert!(buffer.is_empty());
        assert!(Buffer::from(vec![]).pieces.is_empty());
    }
}
