//! The fields of a record, as text: in its line, and a backtrace in lines of its own below it.

use std::fmt;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// Those of tracing's own format, apart from the field `backtrace`.
pub struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(&self, mut writer: Writer<'writer>, fields: R) -> fmt::Result {
        let mut visitor = Visitor {
            in_line: DefaultVisitor::new(writer.by_ref(), true),
            backtrace: None,
        };
        fields.record(&mut visitor);
        let backtrace = visitor.backtrace.unwrap_or_default();
        visitor.in_line.finish()?;
        backtrace
            .lines()
            .try_for_each(|line| writer.write_str(&indented(line)))
    }
}

/// A line of a backtrace, on a line of its own.
pub fn indented(line: &str) -> String {
    format!("\n    {line}")
}

struct Visitor<'a> {
    in_line: DefaultVisitor<'a>,
    backtrace: Option<String>,
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.in_line.record_str(field, value);
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.in_line.record_error(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        match field.name() {
            "backtrace" => self.backtrace = Some(format!("{value:?}")),
            _ => self.in_line.record_debug(field, value),
        }
    }
}
