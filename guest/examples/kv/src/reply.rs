//! Replies, and how RESP2 encodes them.

use std::io::{Result, Write};

pub enum Reply<'a> {
    Simple(&'static str),
    /// The text is one line.
    Error(String),
    Integer(i64),
    Bulk(&'a [u8]),
    Nil,
    Array(Vec<&'a [u8]>),
}

impl Reply<'_> {
    pub fn error(text: &str) -> Self {
        Self::Error(text.to_owned())
    }

    pub fn write(&self, output: &mut impl Write) -> Result<()> {
        match self {
            Self::Simple(text) => write!(output, "+{text}\r\n"),
            Self::Error(text) => write!(output, "-{text}\r\n"),
            Self::Integer(number) => write!(output, ":{number}\r\n"),
            Self::Bulk(bytes) => write_bulk(bytes, output),
            Self::Nil => write!(output, "$-1\r\n"),
            Self::Array(items) => {
                write!(output, "*{}\r\n", items.len())?;
                items.iter().try_for_each(|item| write_bulk(item, output))
            }
        }
    }
}

fn write_bulk(bytes: &[u8], output: &mut impl Write) -> Result<()> {
    write!(output, "${}\r\n", bytes.len())?;
    output.write_all(bytes)?;
    output.write_all(b"\r\n")
}

impl From<std::result::Result<(), &'static str>> for Reply<'_> {
    fn from(result: std::result::Result<(), &'static str>) -> Self {
        result.map_or_else(Self::error, |()| Self::Simple("OK"))
    }
}

impl From<std::result::Result<i64, &'static str>> for Reply<'_> {
    fn from(result: std::result::Result<i64, &'static str>) -> Self {
        result.map_or_else(Self::error, Self::Integer)
    }
}
