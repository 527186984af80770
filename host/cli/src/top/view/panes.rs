//! The tables: one at a time, or all of them on a wide terminal.

use super::Scene;
use super::palette::Look;
use crate::top::app::App;
use crate::top::model::{Column, Pane, Table, whole};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{self, Cell, Row, TableState};

/// The width from which on all tables are shown.
const WIDE: u16 = 150;

/// Maximum width of a column: that of an IPv6 address with its port.
const MAX_COLUMN: usize = 47;

/// More rows than any terminal has.
const MAX_ROWS: usize = 10_000;

/// The space between columns.
const SPACING: usize = 2;

/// Where tables are scrolled to, and how many rows are shown of the one that has the focus.
#[derive(Default)]
pub struct Scroll {
    states: [TableState; Pane::ALL.len()],
    pub page: usize,
}

pub fn draw(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>, scroll: &mut Scroll) {
    if area.width < WIDE {
        let [title, table] =
            Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
        draw_tabs(frame, title, scene);
        draw_table(frame, table, scene, scene.app.pane, scroll);
        return;
    }
    let widths = [Constraint::Fill(1), Constraint::Length(area.width * 2 / 5)];
    let [left, right] = Layout::horizontal(widths).spacing(2).areas(area);
    draw_titled(frame, left, scene, Pane::Connections, scroll);
    let others = &Pane::ALL[1..];
    // The title, the head, and a line between them and the next one.
    let heights = others
        .iter()
        .map(|pane| scene.app.table(*pane).rows.len().min(MAX_ROWS) as u16 + 3);
    let areas = Layout::vertical(heights.map(Constraint::Max)).split(right);
    for (pane, area) in others.iter().zip(areas.iter()) {
        draw_titled(frame, *area, scene, *pane, scroll);
    }
}

/// Draws the names of all tables, of which one has the focus.
fn draw_tabs(frame: &mut Frame<'_>, area: Rect, scene: Scene<'_>) {
    let Scene { app, palette, .. } = scene;
    let mut line = Line::default();
    for (index, pane) in Pane::ALL.into_iter().enumerate() {
        let look = if pane == app.pane {
            Look::Focused
        } else {
            Look::Dim
        };
        line.push_span(palette.span(format!(" {} {} ", index + 1, pane.name()), look));
    }
    let note = Line::from(palette.span(format!("{} ", note(app, app.pane)), Look::Dim));
    let left = line.width() + 1;
    frame.render_widget(line, area);
    if left + note.width() <= usize::from(area.width) {
        frame.render_widget(note.right_aligned(), area);
    }
}

fn draw_titled(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: Scene<'_>,
    pane: Pane,
    scroll: &mut Scroll,
) {
    let Scene { app, palette, .. } = scene;
    let [title, table] = Layout::vertical([Constraint::Length(1), Constraint::Fill(1)]).areas(area);
    let look = if pane == app.pane {
        Look::Focused
    } else {
        Look::Strong
    };
    let mut line =
        Line::from(palette.span(format!(" {} {} ", pane as usize + 1, pane.name()), look));
    line.push_span(palette.span(format!(" {}", note(app, pane)), Look::Dim));
    frame.render_widget(line, title);
    draw_table(frame, table, scene, pane, scroll);
}

/// Returns how many rows there are, and which ones.
fn note(app: &App, pane: Pane) -> String {
    if pane != Pane::Connections {
        return String::new();
    }
    let (shown, open) = (app.connections().len() as u64, app.answer.connections.open);
    let count = match shown < open {
        true => format!("{} of {}", whole(shown), whole(open)),
        false => whole(shown),
    };
    match app.filter.text.as_str() {
        "" => format!("{count} open"),
        text => format!("{count} with {text:?}"),
    }
}

/// Draws a table, or what is said in its place.
fn draw_table(
    frame: &mut Frame<'_>,
    area: Rect,
    scene: Scene<'_>,
    pane: Pane,
    scroll: &mut Scroll,
) {
    let Scene { app, palette, .. } = scene;
    if pane == app.pane {
        scroll.page = usize::from(area.height.saturating_sub(1));
    }
    let table = app.table(pane);
    if table.rows.is_empty() {
        let is_filtered = pane == Pane::Connections && !app.filter.text.is_empty();
        let text = if is_filtered {
            "No connection has this text"
        } else {
            pane.nothing()
        };
        frame.render_widget(palette.span(format!(" {text}"), Look::Dim), area);
        return;
    }
    let head = |column: &Column| head(column, app, pane);
    let selected = if pane == app.pane {
        palette.style(Look::Selected)
    } else {
        Style::default()
    };
    let widget = widget(table, &head, usize::from(area.width))
        .column_spacing(SPACING as u16)
        .row_highlight_style(selected);
    let state = &mut scroll.states[pane as usize];
    state.select(Some(app.selected(pane)));
    // A space on the left, as other lines have it.
    let area = Rect {
        x: area.x + 1,
        width: area.width.saturating_sub(1),
        ..area
    };
    frame.render_stateful_widget(widget, area, state);
}

/// Returns what draws as much of a table as fits.
fn widget(
    mut table: Table,
    head: &dyn Fn(&Column) -> String,
    width: usize,
) -> widgets::Table<'static> {
    let widths = fit(&mut table, head, width);
    let widths = widths
        .into_iter()
        .map(|width| Constraint::Length(width as u16));
    let columns = table.columns;
    let heads: Row<'_> = columns
        .iter()
        .map(|column| cell(head(column), column))
        .collect();
    let row = |row: Vec<String>| -> Row<'_> {
        let cells = row.into_iter().zip(&columns);
        cells.map(|(text, column)| cell(text, column)).collect()
    };
    let rows: Vec<_> = table.rows.into_iter().map(row).collect();
    widgets::Table::new(rows, widths).header(heads.style(Modifier::BOLD))
}

/// Returns the head of a column, which says what the connections are sorted by.
fn head(column: &Column, app: &App, pane: Pane) -> String {
    let name = column.name.to_uppercase();
    match pane == Pane::Connections && column.name == app.sort.name() {
        true => format!("{name}▼"),
        false => name,
    }
}

fn cell(text: String, column: &Column) -> Cell<'static> {
    let line = Line::from(text);
    Cell::from(match column.is_right {
        true => line.right_aligned(),
        false => line,
    })
}

/// Leaves out columns until a table fits. Returns the widths of those that are left; the widest one may be cut.
fn fit(table: &mut Table, head: &dyn Fn(&Column) -> String, width: usize) -> Vec<usize> {
    let mut widths: Vec<_> = (0..table.columns.len())
        .map(|at| width_of(table, head, at))
        .collect();
    let all = |widths: &[usize]| {
        widths.iter().sum::<usize>() + SPACING * widths.len().saturating_sub(1) + 2
    };
    while all(&widths) > width {
        let columns = table.columns.iter().enumerate();
        let last = columns.max_by_key(|(_, column)| column.rank);
        let Some((at, Column { rank: 1.., .. })) = last else {
            break;
        };
        widths.remove(at);
        table.columns.remove(at);
        table.rows.iter_mut().for_each(|row| drop(row.remove(at)));
    }
    let excess = all(&widths).saturating_sub(width);
    if let Some(widest) = widths.iter_mut().max() {
        *widest = widest.saturating_sub(excess);
    }
    widths
}

fn width_of(table: &Table, head: &dyn Fn(&Column) -> String, at: usize) -> usize {
    let texts = table.rows.iter().map(|row| Span::raw(&row[at]).width());
    let head = Span::raw(head(&table.columns[at])).width();
    texts.fold(head, usize::max).min(MAX_COLUMN)
}
