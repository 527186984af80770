//! Requests: an array of bulk strings (`*2\r\n$3\r\nGET\r\n$1\r\na\r\n`), or one line (`GET a`).
//!
//! Out of scope: quotes in a line. An invalid request is an error of the kind
//! [`InvalidData`](ErrorKind::InvalidData), with Redis's message.

use std::io::{BufRead, Error, ErrorKind, Read, Result};

/// The maximum length of all arguments of a request together, in bytes.
const MAX_REQUEST: usize = 1 << 20;

/// The maximum number of arguments of a request, including its name.
const MAX_ARGUMENTS: i64 = 64 << 10;

/// The maximum length of a line, including its end.
const MAX_LINE: u64 = 64 << 10;

pub struct Request {
    pub name: Vec<u8>,
    pub arguments: Vec<Vec<u8>>,
}

impl Request {
    /// Reads a request. Returns None at the end of the input, even within a request.
    pub fn read(input: &mut impl BufRead) -> Result<Option<Self>> {
        loop {
            match read_words(input) {
                Ok(mut words) if !words.is_empty() => {
                    let name = words.remove(0);
                    let arguments = words;
                    return Ok(Some(Self { name, arguments }));
                }
                // A request without a name is skipped, as in Redis.
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
    let mut left = MAX_REQUEST;
    let mut words = Vec::new();
    for _ in 0..count {
        let word = read_bulk(input, left)?;
        left -= word.len();
        words.push(word);
    }
    Ok(words)
}

/// Reads a bulk string of at most `max` bytes.
fn read_bulk(input: &mut impl BufRead, max: usize) -> Result<Vec<u8>> {
    let line = read_line(input, "too big bulk count string")?;
    let length = line.strip_prefix(b"$").ok_or_else(|| {
        let first = line[..line.len().min(1)].escape_ascii();
        invalid(&format!("expected '$', got '{first}'"))
    })?;
    let length = integer(length)
        .and_then(|length| usize::try_from(length).ok())
        .filter(|length| *length <= max)
        .ok_or_else(|| invalid("invalid bulk length"))?;
    let mut bulk = vec![0; length + 2];
    input.read_exact(&mut bulk)?;
    if bulk.split_off(length) != b"\r\n" {
        return Err(invalid("invalid bulk length"));
    }
    Ok(bulk)
}

/// Reads a line, and returns it without its end.
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

/// Parses a 64-bit integer. Like Redis, it accepts the canonical form only: no plus sign, no leading zeros.
pub fn integer(text: &[u8]) -> Option<i64> {
    let number: i64 = str::from_utf8(text).ok()?.parse().ok()?;
    (number.to_string().as_bytes() == text).then_some(number)
}
