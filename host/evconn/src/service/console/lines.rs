//! Splits what a guest writes into lines, as it arrives.

/// The lines of one stream.
#[derive(Debug)]
pub struct PrintedLines {
    /// The beginning of the next line.
    line: Vec<u8>,
    is_cut: bool,
    overlong: Overlong,
}

/// What happens to a line that is longer than [`LONGEST`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overlong {
    /// Only its beginning is shown.
    Cut,
    /// It is wrapped into several lines.
    Wrap,
}

/// The longest line, in bytes.
pub const LONGEST: usize = 1 << 10;

/// A line, without its terminator.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Line<'a> {
    pub bytes: &'a [u8],
    /// Whether the rest of the line was cut off.
    pub is_cut: bool,
}

impl PrintedLines {
    pub fn new(overlong: Overlong) -> Self {
        Self {
            line: Vec::new(),
            is_cut: false,
            overlong,
        }
    }

    /// Appends what the guest has written, and shows the lines that are complete.
    pub fn push(&mut self, bytes: &[u8], mut show: impl FnMut(Line<'_>)) {
        for part in bytes.split_inclusive(|byte| *byte == b'\n') {
            match part.strip_suffix(b"\n") {
                Some(rest) => {
                    self.add(rest, &mut show);
                    self.end_line(&mut show);
                }
                None => self.add(part, &mut show),
            }
        }
    }

    /// Shows the last line, if it has no terminator: nothing more will be written.
    pub fn finish(&mut self, mut show: impl FnMut(Line<'_>)) {
        if !self.line.is_empty() {
            self.end_line(&mut show);
        }
        // An instance that is reused for another connection keeps no text of this one.
        self.line = Vec::new();
    }

    fn add(&mut self, mut part: &[u8], show: &mut impl FnMut(Line<'_>)) {
        loop {
            let left = LONGEST - self.line.len();
            let (fits, rest) = part.split_at(left.min(part.len()));
            self.line.extend_from_slice(fits);
            if rest.is_empty() {
                return;
            }
            match self.overlong {
                Overlong::Cut => {
                    self.is_cut = true;
                    return;
                }
                Overlong::Wrap => self.end_line(show),
            }
            part = rest;
        }
    }

    fn end_line(&mut self, show: &mut impl FnMut(Line<'_>)) {
        show(Line {
            bytes: &self.line,
            is_cut: self.is_cut,
        });
        self.line.clear();
        self.is_cut = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(overlong: Overlong, parts: &[&str]) -> Vec<String> {
        let mut shown = Vec::new();
        let mut show = |line: Line<'_>| {
            let text = String::from_utf8(line.bytes.to_vec()).expect("text");
            shown.push(text + if line.is_cut { "…" } else { "" });
        };
        let mut lines = PrintedLines::new(overlong);
        for part in parts {
            lines.push(part.as_bytes(), &mut show);
        }
        lines.finish(&mut show);
        shown
    }

    #[test]
    fn lines_come_in_any_parts() {
        for parts in [&["one\n\nthree"][..], &["o", "ne", "\n", "\nth", "ree", ""]] {
            assert_eq!(lines(Overlong::Cut, parts), ["one", "", "three"]);
        }
        assert!(lines(Overlong::Cut, &[""]).is_empty());
    }

    #[test]
    fn a_long_line_is_cut_or_wrapped() {
        let (full, more) = ("x".repeat(LONGEST), "x".repeat(LONGEST + 1));
        let cut = format!("{full}…");
        for overlong in [Overlong::Cut, Overlong::Wrap] {
            assert_eq!(lines(overlong, &[&full, "\n"]), [full.as_str()]);
        }
        assert_eq!(
            lines(Overlong::Cut, &[&more, "y\nz\n"]),
            [cut.as_str(), "z"]
        );
        assert_eq!(
            lines(Overlong::Wrap, &[&more, "y\nz\n"]),
            [full.as_str(), "xy", "z"]
        );
    }
}
