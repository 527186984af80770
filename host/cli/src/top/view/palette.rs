//! Colours: the terminal's own, which its user can read, or none.

use ratatui::style::{Color, Modifier, Style};
use ratatui::text::Span;

/// What something looks like.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Look {
    Strong,
    Dim,
    Key,
    Focused,
    Selected,
    /// The series of a chart.
    First,
    Second,
    Third,
    /// Text in the line, and in a box.
    Bad,
    Warn,
    GoodBox,
    WarnBox,
    BadBox,
}

/// Whether there are colours.
#[derive(Clone, Copy)]
pub struct Palette {
    pub is_colored: bool,
}

impl Palette {
    /// Returns that of the user: the variable `NO_COLOR` asks for none.
    pub fn of_environment() -> Self {
        let is_set = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
        Self {
            is_colored: !is_set,
        }
    }

    pub fn style(self, look: Look) -> Style {
        let plain = Style::default();
        let boxed = |color| match self.is_colored {
            true => plain.fg(Color::Black).bg(color),
            false => plain.add_modifier(Modifier::REVERSED),
        };
        let colored = |color| match self.is_colored {
            true => plain.fg(color),
            false => plain,
        };
        match look {
            Look::Strong => plain.add_modifier(Modifier::BOLD),
            Look::Dim => plain.add_modifier(Modifier::DIM),
            Look::Key => colored(Color::Cyan).add_modifier(Modifier::BOLD),
            Look::Focused => boxed(Color::Cyan),
            Look::Selected => plain.add_modifier(Modifier::REVERSED),
            Look::First => colored(Color::Cyan),
            Look::Second => colored(Color::Magenta),
            Look::Third => colored(Color::Red),
            Look::Bad => colored(Color::Red).add_modifier(Modifier::BOLD),
            Look::Warn => plain.add_modifier(Modifier::BOLD),
            Look::GoodBox => boxed(Color::Green),
            Look::WarnBox => boxed(Color::Yellow),
            Look::BadBox => boxed(Color::Red),
        }
    }

    pub fn span<'a>(self, text: impl Into<std::borrow::Cow<'a, str>>, look: Look) -> Span<'a> {
        Span::styled(text, self.style(look))
    }

    /// Returns the look of a series of a group.
    pub fn of_series(series: usize) -> Look {
        [Look::First, Look::Second, Look::Third][series.min(2)]
    }
}
