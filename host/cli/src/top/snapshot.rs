//! What there is to see now, as text: for scripts, and where there is no terminal.

use super::app::App;
use super::model::{Pane, age, totals};
use std::fmt::Write;

/// Returns the state, the totals since the server has started, and all tables.
pub fn snapshot(app: &App) -> String {
    let status = &app.answer.status;
    let mut text = format!(
        "evconn {} at {}: {}, up {}\n",
        status.version,
        app.address,
        status.state.replace('-', " "),
        age(status.age)
    );
    if let Some(scrape) = app.history.newest() {
        let rows = totals(scrape).into_iter();
        let rows: Vec<_> = rows
            .map(|(name, value)| vec![name.to_owned(), value])
            .collect();
        text += "\n";
        text += &columns(&rows, &[false, true]);
    }
    for pane in Pane::ALL {
        let table = app.table(pane);
        let head = table
            .columns
            .iter()
            .map(|column| column.name.to_uppercase())
            .collect();
        let are_right: Vec<_> = table.columns.iter().map(|column| column.is_right).collect();
        // Writing to a string cannot fail.
        let _ = writeln!(text, "\n{}", pane.name());
        text += &match table.rows.is_empty() {
            true => format!("{}\n", pane.nothing()),
            false => columns(&[vec![head], table.rows].concat(), &are_right),
        };
    }
    text
}

/// Returns rows of cells below each other, aligned to the left or the right.
fn columns(rows: &[Vec<String>], are_right: &[bool]) -> String {
    let width = |at: usize| {
        rows.iter()
            .map(|row| row[at].chars().count())
            .max()
            .unwrap_or_default()
    };
    let widths: Vec<_> = (0..are_right.len()).map(width).collect();
    let mut text = String::new();
    for row in rows {
        let cells = row.iter().zip(&widths).zip(are_right);
        let cells = cells.map(|((cell, &width), is_right)| match is_right {
            true => format!("{cell:>width$}"),
            false => format!("{cell:<width$}"),
        });
        let line = cells.collect::<Vec<_>>().join("  ");
        text += line.trim_end();
        text += "\n";
    }
    text
}
