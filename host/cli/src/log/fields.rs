//! The fields of a record as text: on its line, and a backtrace on lines of its own below.

use std::fmt;
use tracing::field::{Field, Visit};
use tracing_subscriber::field::{RecordFields, VisitOutput};
use tracing_subscriber::fmt::FormatFields;
use tracing_subscriber::fmt::format::{DefaultVisitor, Writer};

/// The field that has several lines.
const BACKTRACE: &str = "backtrace";

/// tracing's own format, except for the field `backtrace`.
pub struct Fields;

impl<'writer> FormatFields<'writer> for Fields {
    fn format_fields<R: RecordFields>(
        &self,
        mut writer: Writer<'writer>,
        fields: R,
    ) -> fmt::Result {
        let mut visitor = Visitor {
            in_line: DefaultVisitor::new(writer.by_ref(), true),
            backtrace: String::new(),
        };
        fields.record(&mut visitor);
        let Visitor { in_line, backtrace } = visitor;
        in_line.finish()?;
        backtrace
            .lines()
            .try_for_each(|line| writer.write_str(&indented(line)))
    }
}

/// Puts a line of a backtrace on a line of its own, indented.
pub fn indented(line: &str) -> String {
    format!("\n    {line}")
}

struct Visitor<'a> {
    in_line: DefaultVisitor<'a>,
    backtrace: String,
}

impl Visit for Visitor<'_> {
    fn record_str(&mut self, field: &Field, value: &str) {
        match field.name() {
            BACKTRACE => self.backtrace = value.to_owned(),
            _ => self.in_line.record_str(field, value),
        }
    }

    fn record_error(&mut self, field: &Field, value: &(dyn std::error::Error + 'static)) {
        self.in_line.record_error(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        self.in_line.record_debug(field, value);
    }
}
