//! What lies over the rest: the help, and questions.

use super::Scene;
use super::palette::{Look, Palette};
use crate::top::app::{Dialog, KEYS, Stage};
use ratatui::Frame;
use ratatui::layout::{Constraint, Rect};
use ratatui::text::{Line, Text};
use ratatui::widgets::{Block, Clear, Padding, Paragraph, Wrap};

pub fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let Scene { app, palette, .. } = scene;
    if app.shows_help {
        let keys = [("any key", "closes this")];
        draw_box(frame, area, palette, help(palette), &keys);
    } else if let Some(dialog) = &app.dialog {
        let keys: &[_] = match dialog.stage {
            Stage::Asking => &[("y", "yes"), ("n", "no")],
            Stage::Waiting => &[("Esc", "close")],
            Stage::Answered { .. } => &[("any key", "closes this")],
        };
        draw_box(frame, area, palette, text(dialog, palette), keys);
    }
}

fn help(palette: Palette) -> Text<'static> {
    let line = |(keys, what): (&'static str, &'static str)| {
        Line::from_iter([palette.span(format!("{keys:<15}"), Look::Key), what.into()])
    };
    KEYS.into_iter().map(line).collect()
}

fn text(dialog: &Dialog, palette: Palette) -> Text<'_> {
    let line = match &dialog.stage {
        Stage::Asking => Line::from(dialog.detail),
        Stage::Waiting => Line::from("Waiting for the answer…"),
        Stage::Answered {
            is_done: true,
            text,
        } => Line::from(text.as_str()),
        Stage::Answered {
            is_done: false,
            text,
        } => Line::styled(text.as_str(), palette.style(Look::Bad)),
    };
    let question = Line::styled(dialog.question.as_str(), palette.style(Look::Strong));
    Text::from(vec![question, Line::default(), line])
}

/// Draws a box in the middle, as high as its text requires, with keys on its border.
fn draw_box(
    frame: &mut Frame<'_>,
    area: Rect,
    palette: Palette,
    text: Text<'_>,
    keys: &[(&str, &str)],
) {
    let width = area.width.saturating_sub(4).min(64);
    // Without the border and the space beside it.
    let inner = usize::from(width.saturating_sub(4)).max(1);
    let lines = text.lines.iter().map(|line| lines_of(line.width(), inner));
    let height = (lines.sum::<usize>() as u16 + 2).min(area.height);
    let within = area.centered(Constraint::Length(width), Constraint::Length(height));
    let keys = keys.iter().flat_map(|(key, what)| {
        [
            palette.span(format!(" {key}"), Look::Key),
            palette.span(format!(" {what} "), Look::Strong),
        ]
    });
    let block = Block::bordered()
        .border_style(palette.style(Look::First))
        .title_bottom(Line::from_iter(keys))
        .padding(Padding::horizontal(1));
    frame.render_widget(Clear, within);
    frame.render_widget(
        Paragraph::new(text).wrap(Wrap { trim: false }).block(block),
        within,
    );
}

/// Returns an upper limit of how many lines a text takes when its words are wrapped.
fn lines_of(text: usize, width: usize) -> usize {
    // A word that does not fit leaves some space in its line.
    const LONGEST_WORD: usize = 12;
    match text <= width {
        true => 1,
        false => text.div_ceil(width.saturating_sub(LONGEST_WORD).max(1)),
    }
}
