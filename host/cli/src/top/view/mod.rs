//! What is drawn. Where it ends: it changes nothing but the positions of tables.

mod charts;
mod header;
mod meters;
mod overlay;
mod palette;
mod panes;

pub use palette::Palette;
pub use panes::Scroll;

use super::app::App;
use palette::Look;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::Paragraph;

/// The smallest terminal that shows anything of use.
const MIN: (u16, u16) = (30, 8);

/// The smallest terminal with charts.
const CHARTS: (u16, u16) = (120, 32);

/// What is drawn, and how, at a time in seconds since the view began.
#[derive(Clone, Copy)]
pub struct Scene<'a> {
    pub app: &'a App,
    pub palette: Palette,
    pub now: f64,
}

/// Draws the view.
pub fn draw(frame: &mut Frame<'_>, scene: Scene<'_>, scroll: &mut Scroll) {
    let Scene { palette, .. } = scene;
    let area = frame.area();
    if area.width < MIN.0 || area.height < MIN.1 {
        let text = format!("The terminal is too small: at least {}x{}", MIN.0, MIN.1);
        frame.render_widget(Paragraph::new(text).wrap(Default::default()), area);
        return;
    }
    let notice = header::notice(scene);
    let notice_height = u16::from(notice.is_some());
    let has_charts = area.width >= CHARTS.0 && area.height >= CHARTS.1;
    let values = match has_charts {
        true => charts::height(area),
        false => meters::height(area),
    };
    let rows = [1, notice_height, values].map(Constraint::Length);
    let [first, second, values, tables, last] = Layout::vertical([
        rows[0],
        rows[1],
        rows[2],
        Constraint::Min(2),
        Constraint::Length(1),
    ])
    .areas(area);
    header::draw(frame, first, scene);
    if let Some((text, look)) = notice {
        let line = Line::styled(format!(" {text}"), palette.style(look));
        frame.render_widget(line, second);
    }
    match has_charts {
        true => charts::draw(frame, values, scene),
        false => meters::draw(frame, values, scene),
    }
    panes::draw(frame, tables, scene, scroll);
    draw_footer(frame, last, scene);
    overlay::draw(frame, area, scene);
}

/// Draws the keys, or the filter that is edited. Keys that do not fit are in the help.
fn draw_footer(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let Scene { app, palette, .. } = scene;
    const KEYS: [(&str, &str); 9] = [
        ("q", "quit"),
        ("?", "help"),
        ("Tab", "table"),
        ("s", "sort"),
        ("/", "filter"),
        ("r", "reset"),
        ("R", "reload"),
        ("d", "drain"),
        ("Space", "pause"),
    ];
    let mut line = Line::default();
    if app.filter.is_edited {
        line.push_span(palette.span(" Filter: ", Look::Strong));
        line.push_span(format!("{}▏", app.filter.text));
        line.push_span(palette.span("  Enter: keep  Esc: clear", Look::Dim));
    } else {
        for (key, what) in KEYS {
            let text = format!(" {key} ");
            if line.width() + text.chars().count() + what.len() + 1 > usize::from(area.width) {
                break;
            }
            line.push_span(palette.span(text, Look::Key));
            line.push_span(palette.span(format!("{what} "), Look::Dim));
        }
    }
    frame.render_widget(line, area);
}

#[cfg(test)]
mod tests;
