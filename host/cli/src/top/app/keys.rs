//! What keys do.

use super::{App, Dialog, Stage};
use crate::top::client::Change;
use crate::top::model::Pane;
use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

/// The keys, and what they do.
pub const KEYS: [(&str, &str); 15] = [
    ("Tab, 1–5", "next table, or this one"),
    ("↑ ↓, j k", "select a row"),
    ("PgUp PgDn", "select a row of the next page"),
    ("Home End, g G", "select the first or the last row"),
    ("s", "sort connections by age, received, sent"),
    ("/", "list the connections with a text in them"),
    ("Space", "pause, and go on"),
    ("r", "reset the selected connection"),
    ("R", "reload components, certificates, configuration"),
    ("d", "drain the server, or the listener's service"),
    ("?", "this help"),
    ("Ctrl-L", "draw the screen anew"),
    ("Ctrl-Z", "suspend"),
    ("Esc", "close, clear the filter, or quit"),
    ("q, Ctrl-C", "quit"),
];

/// What a key asks of others.
#[derive(Debug, PartialEq, Eq)]
pub enum Action {
    Quit,
    Suspend,
    Redraw,
    Change(Change),
}

impl App {
    /// Does what a key is for. A page has so many rows.
    pub fn on_key(&mut self, key: KeyEvent, page: usize) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.modifiers.contains(KeyModifiers::CONTROL) {
            return match key.code {
                KeyCode::Char('c') => Some(Action::Quit),
                KeyCode::Char('z') => Some(Action::Suspend),
                KeyCode::Char('l') => Some(Action::Redraw),
                _ => None,
            };
        }
        if self.shows_help {
            self.shows_help = false;
        } else if self.dialog.is_some() {
            return self.in_dialog(key.code);
        } else if self.filter.is_edited {
            self.in_filter(key.code);
        } else if !self.moved(key.code, page) {
            return self.in_tables(key.code);
        }
        None
    }

    fn in_dialog(&mut self, key: KeyCode) -> Option<Action> {
        let dialog = self.dialog.as_mut()?;
        match (&dialog.stage, key) {
            (Stage::Asking, KeyCode::Char('y' | 'Y')) => {
                dialog.stage = Stage::Waiting;
                return Some(Action::Change(dialog.change.clone()));
            }
            (Stage::Asking, KeyCode::Char('n' | 'N' | 'q') | KeyCode::Esc)
            | (Stage::Waiting, KeyCode::Esc)
            | (Stage::Answered { .. }, _) => self.dialog = None,
            _ => {}
        }
        None
    }

    fn in_filter(&mut self, key: KeyCode) {
        match key {
            KeyCode::Enter => self.filter.is_edited = false,
            KeyCode::Esc => self.filter = super::Filter::default(),
            KeyCode::Backspace => drop(self.filter.text.pop()),
            KeyCode::Char(character) => self.filter.text.push(character),
            _ => return,
        }
        self.follow();
    }

    /// Moves the selection, if this is what the key is for.
    fn moved(&mut self, key: KeyCode, page: usize) -> bool {
        let row = self.selected(self.pane);
        let page = page.max(1);
        let row = match key {
            KeyCode::Up | KeyCode::Char('k') => row.saturating_sub(1),
            KeyCode::Down | KeyCode::Char('j') => row + 1,
            KeyCode::PageUp => row.saturating_sub(page),
            KeyCode::PageDown => row + page,
            KeyCode::Home | KeyCode::Char('g') => 0,
            KeyCode::End | KeyCode::Char('G') => usize::MAX,
            _ => return false,
        };
        self.select(row);
        true
    }

    fn in_tables(&mut self, key: KeyCode) -> Option<Action> {
        match key {
            KeyCode::Char('q') => return Some(Action::Quit),
            KeyCode::Esc if self.filter.text.is_empty() => return Some(Action::Quit),
            KeyCode::Esc => self.filter.text.clear(),
            KeyCode::Tab | KeyCode::Right => self.focus(1),
            KeyCode::BackTab | KeyCode::Left => self.focus(Pane::ALL.len() - 1),
            KeyCode::Char(digit @ '1'..='5') => {
                self.pane = Pane::ALL[digit as usize - '1' as usize]
            }
            KeyCode::Char('s') => self.sort = self.sort.next(),
            KeyCode::Char('/') => {
                self.pane = Pane::Connections;
                self.filter.is_edited = true;
            }
            KeyCode::Char(' ') => self.is_paused = !self.is_paused,
            KeyCode::Char('?' | 'h') | KeyCode::F(1) => self.shows_help = true,
            KeyCode::Char('r') if self.pane == Pane::Connections => {
                self.dialog = self.selected_connection().map(Dialog::reset);
            }
            KeyCode::Char('R') => self.dialog = Some(Dialog::reload()),
            KeyCode::Char('d') => self.dialog = Some(self.drain()),
            _ => {}
        }
        self.follow();
        None
    }

    /// Asks about the service of the selected listener, if it is one of several, or about the server.
    fn drain(&self) -> Dialog {
        let listeners = match self.pane {
            Pane::Listeners => self.answer.listeners(),
            _ => Vec::new(),
        };
        let selected = listeners.get(self.selected(Pane::Listeners));
        let name = selected.and_then(|(service, _)| service.name.as_deref());
        name.map_or_else(Dialog::drain, Dialog::drain_service)
    }

    /// Gives the focus to the table that is so many tables further.
    fn focus(&mut self, further: usize) {
        self.pane = Pane::ALL[(self.pane as usize + further) % Pane::ALL.len()];
    }
}
