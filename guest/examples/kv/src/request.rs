//! Requests: an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\na\r\n`), or one line (`GET a`).
//!
//! Where it ends: in a line, quotes mean nothing. What is wrong with a request is an error of the kind
//! [`InvalidData`](ErrorKind::InvalidData), in Redis's words.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// The most bytes of all arguments of a request.
const MAX_REQUEST: usize = 1 << 20;

/// The most arguments of a request, its name among them.
const MAX_ARGUMENTS: i64 = 64 << 10;

/// The most bytes of a line, with its end.
const MAX_LINE: u64 = 64 << 10;

pub struct Request {
    pub name: Vec<u8>,
    pub arguments: Vec<Vec<u8>>,
}

impl Request {
    /// The next one. None at the end of the input, even if that is within a request.
    pub fn read(input: &mut impl BufRead) -> Result<Option<Self>> {
        loop {
            match read_words(input) {
                Ok(mut words) if !words.is_empty() => {
                    let name = words.remove(0);
                    let arguments = words;
                    return Ok(Some(Self { name, arguments }));
                }
                // One without a name is passed over, as Redis does.
                Ok(_) => {}
                Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
                Err(error) => return Err(error),
            }
        }
    }
}

fn read_words(input: &mut impl BufRead) -> Result<Vec<Vec<u8>>> {
    let line = read_line(input, "too big inline request")?;
    let Some(count) = line.strip_prefix(b"*") else {
        let words = line.split(u8::is_ascii_whitespace);
        let words = words.filter(|word| !word.is_empty());
        return Ok(words.map(<[u8]>::to_vec).collect());
    };
    let count = integer(count)
        .filter(|count| *count <= MAX_ARGUMENTS)
        .ok_or_else(|| invalid("invalid multibulk length"))?;
    let mut room = MAX_REQUEST;
    let mut words = Vec::new();
    for _ in 0..count {
        let word = read_bulk(input, room)?;
        room -= word.len();
        words.push(word);
    }
    Ok(words)
}

/// A bulk string of at most `room` bytes.
fn read_bulk(input: &mut impl BufRead, room: usize) -> Result<Vec<u8>> {
    let line = read_line(input, "too big bulk count string")?;
    let length = line.strip_prefix(b"$").ok_or_else(|| {
        let first = line[..line.len().min(1)].escape_ascii();
        invalid(&format!("expected '$', got '{first}'"))
    })?;
    let length = integer(length)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= room)
        .ok_or_else(|| invalid("invalid bulk length"))?;
    let mut bulk = vec![0; length + 2];
    input.read_exact(&mut bulk)?;
    if bulk.split_off(length) != b"\r\n" {
        return Err(invalid("invalid bulk length"));
    }
    Ok(bulk)
}

/// A line, without its end.
fn read_line(input: &mut impl BufRead, too_big: &str) -> Result<Vec<u8>> {
    let mut line = Vec::new();
    input.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.pop_if(|last| *last == b'\n').is_some() {
        line.pop_if(|last| *last == b'\r');
        Ok(line)
    } else if line.len() as u64 == MAX_LINE {
        Err(invalid(too_big))
    } else {
        Err(ErrorKind::UnexpectedEof.into())
    }
}

fn invalid(text: &str) -> Error {
    Error::new(ErrorKind::InvalidData, text)
}

/// An integer of 64 bits, which Redis takes in one form only: no plus, no zeros before it.
pub fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}
