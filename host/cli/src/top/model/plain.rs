//! Text of others on a terminal: names of peers come from strangers, and a control character would be obeyed.

use serde::Deserialize;
use std::fmt;
use std::ops::Deref;

/// A text without anything that a terminal obeys.
#[derive(Clone, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Deserialize)]
#[serde(from = "String")]
pub struct Plain(String);

impl From<String> for Plain {
    fn from(text: String) -> Self {
        Self(plain(&text))
    }
}

impl From<&str> for Plain {
    fn from(text: &str) -> Self {
        Self(plain(text))
    }
}

impl Deref for Plain {
    type Target = str;

    fn deref(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Plain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

/// Returns a text with the replacement character in the place of control characters, and of those that change the
/// direction of writing or cannot be seen.
pub fn plain(text: &str) -> String {
    let shown = |character| match is_obeyed(character) {
        true => char::REPLACEMENT_CHARACTER,
        false => character,
    };
    text.chars().map(shown).collect()
}

fn is_obeyed(character: char) -> bool {
    let is_format = matches!(
        character,
        '\u{ad}' | '\u{61c}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}'
    );
    character.is_control() || is_format
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_of_a_text_is_obeyed() {
        assert_eq!(plain("a\x1b[2Jb"), "a\u{fffd}[2Jb");
        assert_eq!(
            plain("\u{9b}31m\r\n\u{202e}"),
            "\u{fffd}31m\u{fffd}\u{fffd}\u{fffd}"
        );
        assert_eq!(plain("[::1]:80 äß 漢"), "[::1]:80 äß 漢");
        let parsed: Plain = serde_json::from_str(r#""\u001b]0;x\u0007""#).expect("a text");
        assert_eq!(&*parsed, "\u{fffd}]0;x\u{fffd}");
    }
}
