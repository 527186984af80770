//! The file: its tables and values with their positions, and what is wrong at a position.

use anyhow::{Context, anyhow};
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::de::DeTable;

/// Maximum size of the file. A mistake, such as the name of a component, is found before all of it is in memory.
const MAX_SIZE: u64 = 1 << 20;

/// The text of a file, for its errors.
pub struct Document {
    path: PathBuf,
    text: String,
}

impl Document {
    /// Reads the file.
    ///
    /// # Errors
    /// If it cannot be read, is too large, or is not text.
    pub fn read(path: &Path) -> anyhow::Result<Self> {
        let read = || -> anyhow::Result<String> {
            let size = std::fs::metadata(path)?.len();
            anyhow::ensure!(
                size <= MAX_SIZE,
                "it has {size} bytes, and a configuration has {MAX_SIZE} at most"
            );
            let bytes = std::fs::read(path)?;
            String::from_utf8(bytes).context("it is not text in UTF-8")
        };
        let text = read().with_context(|| format!("cannot read {}", path.display()))?;
        Ok(Self::new(path, text))
    }

    pub fn new(path: &Path, text: String) -> Self {
        Self {
            path: path.to_owned(),
            text,
        }
    }

    /// Parses the text.
    ///
    /// # Errors
    /// If it is not TOML, with the position.
    pub fn parse(&self) -> anyhow::Result<DeTable<'_>> {
        let parsed = DeTable::parse(&self.text);
        parsed.map(toml::Spanned::into_inner).map_err(|error| {
            let at = error.span().unwrap_or_default();
            let message = error.message().replace('\n', ", ");
            self.error(&at, &message)
        })
    }

    /// Returns an error at a position of the text.
    pub fn error(&self, at: &Range<usize>, message: &str) -> anyhow::Error {
        let before = self.text.get(..at.start).unwrap_or(&self.text);
        let line = before.matches('\n').count() + 1;
        let column = before.chars().rev().take_while(|c| *c != '\n').count() + 1;
        anyhow!("{}:{line}:{column}: {message}", self.path.display())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn document(text: &str) -> Document {
        Document::new(Path::new("a.toml"), text.to_owned())
    }

    #[test]
    fn a_position_is_a_line_and_a_column_of_characters() {
        let document = document("a = 1\né = 2\n");
        let at = |start| document.error(&(start..start), "wrong").to_string();
        assert_eq!(at(0), "a.toml:1:1: wrong");
        assert_eq!(at(5), "a.toml:1:6: wrong");
        assert_eq!(at(6), "a.toml:2:1: wrong");
        assert_eq!(at(9), "a.toml:2:3: wrong");
        assert_eq!(at(100), "a.toml:3:1: wrong");
    }

    #[test]
    fn text_that_is_not_toml_is_an_error_with_its_position() {
        let error = document("a = 1\nb = = 2\n").parse().expect_err("not TOML");
        assert!(error.to_string().starts_with("a.toml:2:"), "{error}");
        let error = document("a = 1\na = 2\n").parse().expect_err("twice");
        assert!(error.to_string().starts_with("a.toml:2:1: "), "{error}");
    }
}
