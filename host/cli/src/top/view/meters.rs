//! The values on a small terminal: a line for each, with a sparkline.

use super::Scene;
use super::palette::{Look, Palette};
use crate::top::model::GROUPS;
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::text::Line;
use ratatui::widgets::Sparkline;

/// The width from which on there are two columns.
const TWO_COLUMNS: u16 = 70;

/// The widths of a name, and of a value.
const NAME: u16 = 15;
const VALUE: u16 = 11;

/// The steps of a bar.
const STEPS: u8 = 8;

/// The group of a series, and its index there.
type Place = (usize, usize);

fn places(groups: std::ops::Range<usize>) -> Vec<Place> {
    let of_group =
        |group: usize| (0..GROUPS[group].series.len()).map(move |series| (group, series));
    groups.flat_map(of_group).collect()
}

fn columns(width: u16) -> Vec<Vec<Place>> {
    let (half, all) = (GROUPS.len() / 2, GROUPS.len());
    match width >= TWO_COLUMNS {
        true => vec![places(0..half), places(half..all)],
        false => vec![places(0..all)],
    }
}

/// Returns how many lines they take: up to half of the terminal.
pub fn height(area: Rect) -> u16 {
    let columns = columns(area.width);
    let longest = columns.iter().map(Vec::len).max().unwrap_or_default();
    (longest as u16).min((area.height - 2) / 2)
}

pub fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let columns = columns(area.width);
    let areas = Layout::horizontal(columns.iter().map(|_| Constraint::Fill(1)))
        .spacing(1)
        .split(area);
    for (mut column, area) in columns.into_iter().zip(areas.iter()) {
        if column.len() > usize::from(area.height) {
            // The first series of each group say most.
            column.sort_by_key(|(_, series)| *series);
        }
        for (place, row) in column.into_iter().zip(area.rows()) {
            draw_meter(frame, row, scene, place);
        }
    }
}

fn draw_meter(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>, (group, series): Place) {
    let Scene { app, palette, now } = scene;
    let widths = [
        Constraint::Length(NAME),
        Constraint::Length(VALUE),
        Constraint::Fill(1),
    ];
    let [name, value, bars] = Layout::horizontal(widths).spacing(1).areas(area);
    let look = Palette::of_series(series);
    let title = palette.span(
        format!(" {}", GROUPS[group].series[series].full_name),
        Look::Dim,
    );
    frame.render_widget(title, name);
    let text = GROUPS[group].unit.known(app.history.latest(group, series));
    frame.render_widget(
        Line::styled(text, palette.style(Look::Strong)).right_aligned(),
        value,
    );
    let columns = app
        .history
        .columns(group, series, now, usize::from(bars.width));
    let top = columns
        .iter()
        .flatten()
        .fold(0.0, |top: f64, value| top.max(*value));
    // What is known shows at least the lowest bar.
    let bar = |value: f64| match top > 0.0 {
        true => (value / top * f64::from(STEPS)).round().max(1.0) as u64,
        false => 1,
    };
    let sparkline = Sparkline::default()
        .data(columns.into_iter().map(|value| value.map(bar)))
        .max(STEPS.into())
        .absent_value_symbol(" ")
        .style(palette.style(look));
    frame.render_widget(sparkline, bars);
}
