//! The last warnings and errors, of this process and of those whose log it passes on: for whoever asks what is wrong.

use super::plain;
use serde::Serialize;
use serde_json::Value;
use std::collections::VecDeque;
use std::io::{self, Write};
use std::sync::{Mutex, MutexGuard, PoisonError};
use tracing::{Level, Metadata};
use tracing_subscriber::fmt::MakeWriter;

/// How many are kept.
const MOST: usize = 50;

/// Maximum length of the text of one, in characters. The rest is in the log.
const MAX_LENGTH: usize = 1000;

/// The level of a record is among its first bytes, behind the name of a service.
const HEAD: usize = 160;

const LEVELS: [&str; 2] = ["WARN", "ERROR"];

static RECENT: Mutex<VecDeque<Record>> = Mutex::new(VecDeque::new());

/// A warning or an error, as it was logged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct Record {
    time: String,
    level: &'static str,
    /// Its first line.
    text: String,
}

/// Returns the last warnings and errors, the newest last.
pub fn recent() -> Vec<Record> {
    records().iter().cloned().collect()
}

/// Keeps the warnings and errors in these lines of a log.
pub fn note(lines: &[u8]) {
    for line in lines.split(|byte| *byte == b'\n') {
        let head = &line[..line.len().min(HEAD)];
        let has = |level: &str| head.windows(level.len()).any(|at| at == level.as_bytes());
        if LEVELS.into_iter().any(has)
            && let Some(record) = Record::parse(&String::from_utf8_lossy(line))
        {
            let mut records = records();
            if records.len() == MOST {
                records.pop_front();
            }
            records.push_back(record);
        }
    }
}

fn records() -> MutexGuard<'static, VecDeque<Record>> {
    // Nothing in there panics halfway.
    RECENT.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Record {
    /// Parses a line in either format. Returns `None` if it is no warning, no error, or no record at all.
    fn parse(line: &str) -> Option<Self> {
        match line.strip_prefix('{') {
            Some(_) => Self::of_object(&serde_json::from_str(line).ok()?),
            None => Self::of_text(&plain(line)),
        }
    }

    fn of_text(line: &str) -> Option<Self> {
        let (time, rest) = line.split_once(' ')?;
        let (level, text) = rest.trim_start().split_once(' ')?;
        Self::new(time, level, text)
    }

    fn of_object(object: &Value) -> Option<Self> {
        let text = |name| object.get(name).and_then(Value::as_str);
        let fields = object.get("fields")?.as_object()?;
        let message = fields.get("message").and_then(Value::as_str);
        // As in text, where a backtrace has lines of its own.
        let is_in_line = |name: &str| !["message", "backtrace"].contains(&name);
        let others = fields.iter().filter(|(name, _)| is_in_line(name));
        let others = others.map(|(name, value)| (name.as_str(), value));
        let service = object.get("service").map(|name| ("service", name));
        let mut all = message.unwrap_or_default().to_owned();
        for (name, value) in others.chain(service) {
            all += &format!(" {name}={value}");
        }
        Self::new(text("timestamp")?, text("level")?, &all)
    }

    fn new(time: &str, level: &str, text: &str) -> Option<Self> {
        let is_time = time.starts_with(|c: char| c.is_ascii_digit()) && time.ends_with('Z');
        let level = LEVELS.into_iter().find(|known| *known == level)?;
        is_time.then(|| Self {
            time: time.to_owned(),
            level,
            text: text.chars().take(MAX_LENGTH).collect(),
        })
    }
}

/// Keeps the warnings and errors that are written.
pub struct Noting<M>(pub M);

/// Writes a record, which is one call.
pub struct NotingWriter<W> {
    writer: W,
    is_noted: bool,
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Noting<M> {
    type Writer = NotingWriter<M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        NotingWriter {
            writer: self.0.make_writer(),
            is_noted: false,
        }
    }

    fn make_writer_for(&'a self, record: &Metadata<'_>) -> Self::Writer {
        NotingWriter {
            writer: self.0.make_writer_for(record),
            is_noted: *record.level() <= Level::WARN,
        }
    }
}

impl<W: Write> Write for NotingWriter<W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        if self.is_noted {
            note(record);
        }
        self.writer.write_all(record)?;
        Ok(record.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn warnings_and_errors_are_parsed_in_either_format() {
        let record = |level, text: &str| {
            Some(Record {
                time: "2026-11-29T12:00:00.000000Z".to_owned(),
                level,
                text: text.to_owned(),
            })
        };
        for (line, expected) in [
            (
                "2026-11-29T12:00:00.000000Z  WARN it is late number=7",
                record("WARN", "it is late number=7"),
            ),
            (
                "\u{1b}[2m2026-11-29T12:00:00.000000Z\u{1b}[0m \u{1b}[31mERROR\u{1b}[0m it is gone",
                record("ERROR", "it is gone"),
            ),
            (
                r#"{"service":"web","timestamp":"2026-11-29T12:00:00.000000Z","level":"WARN","fields":{"message":"late","number":7}}"#,
                record("WARN", r#"late number=7 service="web""#),
            ),
            ("2026-11-29T12:00:00.000000Z  INFO WARN of this", None),
            (r#"{"level":"WARN"}"#, None),
            ("{ WARN", None),
            ("what a service prints ERROR", None),
            ("ERROR", None),
            ("", None),
        ] {
            assert_eq!(Record::parse(line), expected, "{line}");
        }
    }

    #[test]
    fn the_last_ones_are_kept() {
        for number in 0..MOST + 5 {
            let line = format!(
                "2026-11-29T12:00:00Z ERROR {number} {}\n    at x\n",
                "x".repeat(2000)
            );
            note(line.as_bytes());
        }
        let kept = recent();
        assert_eq!(kept.len(), MOST);
        assert!(kept[0].text.starts_with("5 x"), "{:?}", kept[0]);
        assert!(kept.iter().all(|record| record.text.len() == MAX_LENGTH));
    }
}
