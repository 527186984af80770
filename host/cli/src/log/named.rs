//! The name of the service in each record of a process that serves one of several.

use super::Format;
use std::io::{self, Write};
use tracing_subscriber::fmt::MakeWriter;

/// Adds the field `service` to each record that is written.
pub struct Named<M> {
    writers: M,
    field: Field,
}

#[derive(Clone, Debug)]
struct Field {
    text: String,
    format: Format,
}

/// Writes a record, which is one call.
pub struct RecordWriter<'a, W> {
    writer: W,
    field: &'a Field,
}

impl<M> Named<M> {
    pub fn new(writers: M, format: Format, service: &str) -> Self {
        let field = Field::new(format, service);
        Self { writers, field }
    }
}

impl Field {
    fn new(format: Format, service: &str) -> Self {
        let text = match format {
            Format::Human => format!(" service={service:?}\n"),
            Format::Json => format!("{{\"service\":{service:?},"),
        };
        Self { text, format }
    }

    /// Adds the field behind the others of the first line, or as the first one of an object.
    fn add(&self, record: &str) -> String {
        let before = match self.format {
            Format::Human => '\n',
            Format::Json => '{',
        };
        record.replacen(before, &self.text, 1)
    }
}

impl<'a, M: MakeWriter<'a>> MakeWriter<'a> for Named<M> {
    type Writer = RecordWriter<'a, M::Writer>;

    fn make_writer(&'a self) -> Self::Writer {
        RecordWriter {
            writer: self.writers.make_writer(),
            field: &self.field,
        }
    }
}

impl<W: Write> Write for RecordWriter<'_, W> {
    fn write(&mut self, record: &[u8]) -> io::Result<usize> {
        let named = self.field.add(&String::from_utf8_lossy(record));
        self.writer.write_all(named.as_bytes())?;
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
    fn a_field_is_added_once() {
        let text = Field::new(Format::Human, "web");
        let added = text.add("done a=1\n    at x\n");
        assert_eq!(added, "done a=1 service=\"web\"\n    at x\n");
        let json = Field::new(Format::Json, "web");
        let added = json.add("{\"a\":{\"b\":1}}\n");
        assert_eq!(added, "{\"service\":\"web\",\"a\":{\"b\":1}}\n");
    }
}
