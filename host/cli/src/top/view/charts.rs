//! The values on a large terminal: a chart for each group.

use super::Scene;
use super::palette::{Look, Palette};
use crate::top::app::App;
use crate::top::model::{GROUPS, SPAN};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::symbols::Marker;
use ratatui::text::Line;
use ratatui::widgets::{Axis, Block, Chart, Dataset, GraphType};

const COLUMNS: usize = 4;

/// Returns how many lines they take.
pub fn height(area: Rect) -> u16 {
    2 * (area.height / 5).clamp(6, 10)
}

pub fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let rows = Layout::vertical([Constraint::Fill(1); GROUPS.len() / COLUMNS]).split(area);
    for index in 0..GROUPS.len() {
        let row = rows[index / COLUMNS];
        let columns: [Rect; COLUMNS] =
            Layout::horizontal([Constraint::Fill(1); COLUMNS]).areas(row);
        draw_group(frame, columns[index % COLUMNS], scene, index);
    }
}

fn draw_group(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>, index: usize) {
    let Scene { app, palette, now } = scene;
    let group = &GROUPS[index];
    let lines = lines(app, index);
    let values = lines.iter().flat_map(|(_, line)| line);
    let shown = values.filter(|(time, _)| *time >= now - SPAN);
    let top = shown.fold(0.0, |top: f64, (_, value)| top.max(*value));
    let dim = |text: String| Line::from(palette.span(text, Look::Dim));
    let mut block = Block::bordered()
        .border_style(palette.style(Look::Dim))
        .title(palette.span(format!(" {} ", group.name), Look::Strong))
        .title_bottom(dim(" 5 min ".to_owned()));
    if !group.note.is_empty() {
        block = block.title(dim(format!(" {} ", group.note)).right_aligned());
    }
    if top > 0.0 {
        let scale = format!(" up to {} ", group.unit.text(top));
        block = block.title_bottom(dim(scale).right_aligned());
    }
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let [values, plot] =
        Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(inner);
    draw_values(frame, values, scene, index);
    draw_plot(frame, plot, scene, &lines, top);
}

/// A series of a group, and its times and values without a gap.
type Stretch = (usize, Vec<(f64, f64)>);

fn lines(app: &App, index: usize) -> Vec<Stretch> {
    let series = 0..GROUPS[index].series.len();
    let of_series = |at: usize| {
        let stretches = app.history.stretches(index, at).into_iter();
        stretches.map(move |stretch| (at, stretch))
    };
    series.flat_map(of_series).collect()
}

/// Draws the names of the series, short ones where there is little space, with their newest values.
fn draw_values(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>, index: usize) {
    let (Scene { app, palette, .. }, group) = (scene, &GROUPS[index]);
    let line = |is_short: bool| {
        let spans = group.series.iter().enumerate().flat_map(|(at, series)| {
            let name = if is_short {
                series.short_name
            } else {
                series.name
            };
            let value = group.unit.known(app.history.latest(index, at));
            let name = palette.span(format!(" {name} "), Palette::of_series(at));
            [name, palette.span(value, Look::Strong)]
        });
        Line::from_iter(spans)
    };
    let whole = line(false);
    let fits = whole.width() <= usize::from(area.width);
    frame.render_widget(if fits { whole } else { line(true) }, area);
}

fn draw_plot(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>, lines: &[Stretch], top: f64) {
    let Scene { palette, now, .. } = scene;
    // The first series is drawn last, on top of the others.
    let datasets = lines.iter().rev().map(|(at, line)| {
        Dataset::default()
            .marker(Marker::Braille)
            .graph_type(GraphType::Line)
            .style(palette.style(Palette::of_series(*at)))
            .data(line)
    });
    let height = if top > 0.0 { top * 1.05 } else { 1.0 };
    let chart = Chart::new(datasets.collect())
        .x_axis(Axis::default().bounds([now - SPAN, now]))
        .y_axis(Axis::default().bounds([0.0, height]));
    frame.render_widget(chart, area);
}
