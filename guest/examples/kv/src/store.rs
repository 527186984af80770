//! The commands: their effect on the keys, and their replies.

use crate::reply::Reply;
use crate::request::integer;
use std::collections::HashMap;

/// The maximum memory for keys and values, in bytes.
const MAX_MEMORY: usize = 16 << 20;

/// The approximate size of an entry without its key and its value, in bytes.
const ENTRY: usize = 128;

#[derive(Default)]
pub struct Store {
    entries: HashMap<Vec<u8>, Vec<u8>>,
    memory: usize,
}

impl Store {
    /// Executes a request, which is a name and its arguments.
    pub fn execute<'a>(&'a mut self, name: &[u8], arguments: &'a [Vec<u8>]) -> Reply<'a> {
        match (&name.to_ascii_uppercase()[..], arguments) {
            (b"PING", []) => Reply::Simple("PONG"),
            (b"PING" | b"ECHO", [text]) => Reply::Bulk(text),
            (b"GET", [key]) => self.get(key),
            (b"SET", [key, value]) => self.set(key, value).into(),
            // With options, such as a time to live.
            (b"SET", [_, _, _, ..]) => Reply::error("ERR syntax error"),
            (b"DEL", [_, ..]) => self.delete(arguments),
            (b"INCR", [key]) => self.increment(key).into(),

            // Commands that clients send when they connect. They accept an error in answer to HELLO.
            (b"CLIENT", [_, ..]) => Reply::Simple("OK"),
            (b"COMMAND", _) => Reply::Array(Vec::new()),
            (b"CONFIG", [get, name]) if get.eq_ignore_ascii_case(b"GET") => config(name),
            (b"SELECT", [index]) if index == b"0" => Reply::Simple("OK"),
            (b"SELECT", [_]) => Reply::error("ERR DB index is out of range"),

            (b"PING" | b"ECHO" | b"GET" | b"SET" | b"DEL" | b"INCR" | b"CLIENT" | b"SELECT", _) => {
                wrong_number(name)
            }
            (b"CONFIG", _) => Reply::error("ERR CONFIG has only GET, with one parameter"),
            _ => unknown(name),
        }
    }

    fn get(&self, key: &[u8]) -> Reply<'_> {
        match self.entries.get(key) {
            Some(value) => Reply::Bulk(value),
            None => Reply::Nil,
        }
    }

    fn set(&mut self, key: &[u8], value: &[u8]) -> Result<(), &'static str> {
        let memory = self.memory - self.memory_of(key) + ENTRY + key.len() + value.len();
        if memory > MAX_MEMORY {
            return Err("OOM command not allowed when used memory > 'maxmemory'.");
        }
        self.memory = memory;
        self.entries.insert(key.to_vec(), value.to_vec());
        Ok(())
    }

    fn delete(&mut self, keys: &[Vec<u8>]) -> Reply<'static> {
        let mut deleted = 0;
        for key in keys {
            self.memory -= self.memory_of(key);
            deleted += i64::from(self.entries.remove(key).is_some());
        }
        Reply::Integer(deleted)
    }

    fn increment(&mut self, key: &[u8]) -> Result<i64, &'static str> {
        let value = match self.entries.get(key) {
            Some(value) => integer(value).ok_or("ERR value is not an integer or out of range")?,
            None => 0,
        };
        let value = value
            .checked_add(1)
            .ok_or("ERR increment or decrement would overflow")?;
        self.set(key, value.to_string().as_bytes())?;
        Ok(value)
    }

    /// Returns the memory of this key's entry, or 0 if there is none.
    fn memory_of(&self, key: &[u8]) -> usize {
        let value = self.entries.get(key);
        value.map_or(0, |value| ENTRY + key.len() + value.len())
    }
}

/// The parameters that redis-benchmark reads: nothing is saved to disk.
fn config(name: &[u8]) -> Reply<'_> {
    match name {
        b"save" => Reply::Array(vec![name, b""]),
        b"appendonly" => Reply::Array(vec![name, b"no"]),
        _ => Reply::Array(Vec::new()),
    }
}

fn wrong_number(name: &[u8]) -> Reply<'static> {
    let name = name.to_ascii_lowercase();
    let name = name.escape_ascii();
    Reply::Error(format!(
        "ERR wrong number of arguments for '{name}' command"
    ))
}

fn unknown(name: &[u8]) -> Reply<'static> {
    let name = name[..name.len().min(128)].escape_ascii();
    Reply::Error(format!("ERR unknown command '{name}'"))
}
