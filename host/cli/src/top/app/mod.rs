//! What the view shows and what keys do, without a terminal and without a server.

mod dialog;
mod keys;

pub use dialog::{Dialog, Stage};
pub use keys::{Action, KEYS};

use super::client::Change;
use super::model::{Answer, Connection, History, Pane, Plain, Scrape, Sort, Table, table};
use super::poll::Wanted;
use std::cmp::Reverse;
use std::time::Duration;

pub struct App {
    pub address: String,
    pub interval: Duration,
    /// The newest answer.
    pub answer: Answer,
    pub history: History,
    /// When the server has last answered, in seconds since the view began, and why it has not answered since.
    pub answered: f64,
    pub trouble: Option<Plain>,
    pub pane: Pane,
    pub sort: Sort,
    pub filter: Filter,
    pub is_paused: bool,
    pub shows_help: bool,
    pub dialog: Option<Dialog>,
    /// The selected row of each table.
    selected: [usize; Pane::ALL.len()],
    /// The connection that was selected, whatever its row is by now.
    chosen: Option<Connection>,
}

/// What a connection has to have in it to be listed.
#[derive(Default)]
pub struct Filter {
    pub text: String,
    pub is_edited: bool,
}

impl Filter {
    fn admits(&self, connection: &Connection) -> bool {
        let wanted = self.text.to_lowercase();
        let service = connection.service.as_deref().unwrap_or_default();
        let number = connection.number.to_string();
        [
            number.as_str(),
            service,
            &connection.peer,
            &connection.listener,
            &connection.state,
            &connection.instance,
        ]
        .iter()
        .any(|text| text.to_lowercase().contains(&wanted))
    }
}

impl App {
    /// Returns the view after the first answer.
    pub fn new(address: String, interval: Duration, first: Answer) -> Self {
        let mut app = Self {
            address,
            interval,
            answer: Answer::default(),
            history: History::new(interval.as_secs_f64()),
            answered: 0.0,
            trouble: None,
            pane: Pane::Connections,
            sort: Sort::default(),
            filter: Filter::default(),
            is_paused: false,
            shows_help: false,
            dialog: None,
            selected: [0; Pane::ALL.len()],
            chosen: None,
        };
        app.on_answer(0.0, Ok(first));
        app
    }

    /// Takes what the server has answered, or why it has not, at a time in seconds since the view began.
    pub fn on_answer(&mut self, now: f64, answer: anyhow::Result<Answer>) {
        match answer {
            Ok(answer) => {
                let is_other = answer.status.process != self.answer.status.process;
                if let Some(families) = &answer.families {
                    self.history.add(Scrape::of(families, now), is_other);
                }
                self.answer = answer;
                self.answered = now;
                self.trouble = None;
                self.follow();
            }
            Err(error) => self.trouble = Some(format!("{error:#}").into()),
        }
    }

    /// Takes the answer to what was confirmed in a dialog.
    pub fn on_outcome(&mut self, change: &Change, is_done: bool, text: String) {
        if let Some(dialog) = &mut self.dialog
            && dialog.change == *change
        {
            dialog.stage = Stage::Answered { is_done, text };
        }
    }

    /// Returns whether the server should have answered by now.
    pub fn is_overdue(&self, now: f64) -> bool {
        const PATIENCE: f64 = 3.0;
        let interval = self.interval.as_secs_f64();
        !self.is_paused && now - self.answered > interval + PATIENCE
    }

    pub fn wanted(&self) -> Wanted {
        Wanted {
            sort: self.sort,
            is_paused: self.is_paused,
        }
    }

    /// Returns the connections that are listed, in order.
    pub fn connections(&self) -> Vec<&Connection> {
        let all = self.answer.connections.connections.iter();
        let mut shown: Vec<_> = all.filter(|one| self.filter.admits(one)).collect();
        match self.sort {
            Sort::Age => shown.sort_by(|a, b| b.age.total_cmp(&a.age)),
            Sort::Received => shown.sort_by_key(|one| Reverse(one.received)),
            Sort::Sent => shown.sort_by_key(|one| Reverse(one.sent)),
        }
        shown
    }

    pub fn table(&self, pane: Pane) -> Table {
        table(pane, &self.answer, &self.history, &self.connections())
    }

    /// Returns how many rows a table has.
    fn rows(&self, pane: Pane) -> usize {
        match pane {
            Pane::Connections => self.connections().len(),
            other => self.table(other).rows.len(),
        }
    }

    pub fn selected(&self, pane: Pane) -> usize {
        self.selected[pane as usize]
    }

    /// Selects a row of the table that has the focus, or its last one.
    fn select(&mut self, row: usize) {
        let last = self.rows(self.pane).saturating_sub(1);
        self.selected[self.pane as usize] = row.min(last);
        if self.pane == Pane::Connections {
            self.chosen = self.selected_connection().cloned();
        }
    }

    fn selected_connection(&self) -> Option<&Connection> {
        let shown = self.connections();
        shown.get(self.selected(Pane::Connections)).copied()
    }

    /// Moves the selections to where the same rows are by now.
    fn follow(&mut self) {
        let shown = self.connections();
        let chosen = self.chosen.as_ref();
        let found = chosen.and_then(|chosen| shown.iter().position(|one| one.is(chosen)));
        if let Some(row) = found {
            self.selected[Pane::Connections as usize] = row;
        }
        for pane in Pane::ALL {
            let last = self.rows(pane).saturating_sub(1);
            let selected = &mut self.selected[pane as usize];
            *selected = last.min(*selected);
        }
    }
}

#[cfg(test)]
mod tests;
