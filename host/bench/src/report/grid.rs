//! Tables, as text for a terminal and as Markdown.

use super::number::{count, median, spread};
use super::row::{Block, Row};
use crate::sample::Spread;

pub struct Grid {
    pub title: String,
    pub head: Vec<String>,
    pub rows: Vec<Vec<String>>,
}

/// A column: its head, and the text for a row.
type Column<'a> = (String, Box<dyn Fn(&Row<'_>) -> String + 'a>);

impl Grid {
    /// Returns the table of a work: a row for each server, and the columns for which there are figures.
    pub fn of(block: &Block<'_>) -> Self {
        let columns = columns(block);
        let row = |row: &Row<'_>| match row.error {
            Some(_) => vec![row.peer.name().to_owned(), "failed".to_owned()],
            None => columns.iter().map(|(_, cell)| cell(row)).collect(),
        };
        Self {
            title: format!("{}: {}", block.work.name(), block.work.title()),
            rows: block.rows.iter().map(row).collect(),
            head: columns.iter().map(|(head, _)| head.clone()).collect(),
        }
    }

    pub fn text(&self) -> String {
        let widths: Vec<usize> = (0..self.head.len())
            .map(|column| {
                let lines = self.lines().filter_map(|line| line.get(column));
                lines.map(|cell| cell.chars().count()).max().unwrap_or(0)
            })
            .collect();
        let mut text = format!("{}\n", self.title);
        for line in self.lines() {
            let cells = line.iter().zip(&widths);
            let cells: Vec<_> = cells
                .map(|(cell, width)| format!("{cell:<width$}"))
                .collect();
            text += &format!("  {}\n", cells.join("  ").trim_end());
        }
        text
    }

    pub fn markdown(&self) -> String {
        let line = |cells: &[String]| format!("| {} |\n", cells.join(" | "));
        let rule = vec!["---".to_owned(); self.head.len()];
        let mut text = format!("## {}\n\n{}{}", self.title, line(&self.head), line(&rule));
        for row in &self.rows {
            text += &line(row);
        }
        text
    }

    fn lines(&self) -> impl Iterator<Item = &Vec<String>> {
        std::iter::once(&self.head).chain(&self.rows)
    }
}

fn columns<'a>(block: &Block<'_>) -> Vec<Column<'a>> {
    let (unit, scale) = block.work.unit();
    let operation = block.work.operation();
    let has = |of: fn(&Row<'_>) -> Option<Spread>| block.rows.iter().any(|row| of(row).is_some());
    let mut columns: Vec<Column<'a>> = vec![
        (
            "server".to_owned(),
            Box::new(|row| row.peer.name().to_owned()),
        ),
        (
            unit.to_owned(),
            Box::new(move |row| spread(row.value.map(|value| value.scaled(scale)))),
        ),
    ];
    if has(|row| row.ratio) {
        columns.push(("to tokio".to_owned(), Box::new(|row| spread(row.ratio))));
    }
    if has(|row| row.p50) {
        columns.push(("p50 µs".to_owned(), Box::new(|row| median(row.p50))));
        columns.push(("p99 µs".to_owned(), Box::new(|row| median(row.p99))));
        columns.push(("p99.9 µs".to_owned(), Box::new(|row| median(row.p999))));
    }
    if has(|row| row.p99_ratio) {
        columns.push((
            "p99 to tokio".to_owned(),
            Box::new(|row| spread(row.p99_ratio)),
        ));
    }
    if has(|row| row.server_cpu) {
        let head = |who| format!("{who} µs/{operation}");
        columns.push((head("server"), Box::new(|row| median(row.server_cpu))));
        columns.push((head("client"), Box::new(|row| median(row.client_cpu))));
    }
    if has(|row| row.memory) {
        columns.push((
            "PSS KiB".to_owned(),
            Box::new(|row| median(row.proportional)),
        ));
        columns.push((
            "page tables".to_owned(),
            Box::new(|row| median(row.page_tables)),
        ));
        columns.push(("both KiB".to_owned(), Box::new(|row| spread(row.memory))));
    }
    if has(|row| row.count) {
        let head = block.work.counted().to_owned();
        columns.push((head, Box::new(|row| count(row.count))));
    }
    columns
}
