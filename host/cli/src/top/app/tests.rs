use super::*;
use crate::top::app::keys::Action;
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

fn connection(number: u64, peer: &str, age: f64, sent: u64) -> Connection {
    let peer = peer.into();
    Connection {
        number,
        peer,
        age,
        sent,
        ..Connection::default()
    }
}

fn answer(connections: Vec<Connection>) -> Answer {
    let mut answer = Answer::default();
    answer.connections.open = connections.len() as u64;
    answer.connections.connections = connections;
    answer
}

fn app() -> App {
    let connections = vec![
        connection(1, "192.0.2.1:1", 30.0, 5),
        connection(2, "192.0.2.2:2", 20.0, 9),
        connection(3, "198.51.100.3:3", 10.0, 7),
    ];
    App::new(
        "localhost:9000".to_owned(),
        Duration::from_secs(1),
        answer(connections),
    )
}

fn press(app: &mut App, keys: &str) -> Option<Action> {
    let mut action = None;
    for key in keys.chars() {
        let code = match key {
            '\n' => KeyCode::Enter,
            '\x1b' => KeyCode::Esc,
            '\t' => KeyCode::Tab,
            '\x08' => KeyCode::Backspace,
            key => KeyCode::Char(key),
        };
        action = app.on_key(KeyEvent::new(code, KeyModifiers::NONE), 2);
    }
    action
}

fn numbers(app: &App) -> Vec<u64> {
    app.connections().iter().map(|one| one.number).collect()
}

#[test]
fn a_connection_is_reset_after_a_question() {
    let mut app = app();
    assert_eq!(press(&mut app, "jr"), None);
    let question = |app: &App| app.dialog.as_ref().map(|dialog| dialog.question.clone());
    assert_eq!(
        question(&app).as_deref(),
        Some("Reset connection 2 of 192.0.2.2:2?")
    );
    assert_eq!(press(&mut app, "xn"), None);
    assert_eq!(question(&app), None);
    let change = Change::Reset {
        number: 2,
        worker: None,
    };
    assert_eq!(press(&mut app, "ry"), Some(Action::Change(change.clone())));
    // No second one, and no other key does anything but Esc.
    assert_eq!(press(&mut app, "yqd"), None);
    app.on_outcome(&Change::Reload, true, "another one's".to_owned());
    assert_eq!(
        app.dialog.as_ref().map(|dialog| &dialog.stage),
        Some(&Stage::Waiting)
    );
    app.on_outcome(&change, true, "connection 2 is reset".to_owned());
    let stage = app.dialog.as_ref().map(|dialog| &dialog.stage);
    assert!(
        matches!(stage, Some(Stage::Answered { is_done: true, .. })),
        "{stage:?}"
    );
    assert_eq!(press(&mut app, "q"), None);
    assert!(app.dialog.is_none());
}

#[test]
fn what_changes_the_server_is_asked_first() {
    let mut app = app();
    assert_eq!(press(&mut app, "d"), None);
    assert_eq!(
        press(&mut app, "y"),
        Some(Action::Change(Change::Drain { service: None }))
    );
    // An answer that nobody waits for any more is not shown.
    press(&mut app, "\x1b");
    app.on_outcome(
        &Change::Drain { service: None },
        true,
        "draining".to_owned(),
    );
    assert!(app.dialog.is_none());
    assert_eq!(press(&mut app, "Ry"), Some(Action::Change(Change::Reload)));
    // Nothing to reset in another table.
    let mut app = self::app();
    press(&mut app, "\tr");
    assert!(app.dialog.is_none());
}

#[test]
fn one_of_several_services_is_drained_where_it_is_selected() {
    let mut app = app();
    let services = r#"[{"name":"a","state":"ready","listeners":["[::]:1","[::]:2"],"workers":[]},
        {"name":"b","state":"ending","listeners":[],"workers":[]}]"#;
    app.answer.status.services = serde_json::from_str(services).expect("services");
    let drained = |app: &mut App, keys| match press(app, keys) {
        Some(Action::Change(Change::Drain { service })) => service,
        other => panic!("{other:?}"),
    };
    assert_eq!(drained(&mut app, "2jdy").as_deref(), Some("a"));
    assert_eq!(drained(&mut app, "\x1bjdy").as_deref(), Some("b"));
    assert_eq!(drained(&mut app, "\x1b1dy"), None);
}

#[test]
fn the_selection_follows_its_connection() {
    let mut app = app();
    press(&mut app, "jj");
    assert_eq!(app.selected(Pane::Connections), 2);
    // By sent bytes, it is the second one.
    press(&mut app, "ss");
    assert_eq!(numbers(&app), [2, 3, 1]);
    assert_eq!(app.selected(Pane::Connections), 1);
    app.on_answer(
        1.0,
        Ok(answer(vec![
            connection(3, "a", 11.0, 70),
            connection(2, "b", 21.0, 9),
        ])),
    );
    assert_eq!(app.selected(Pane::Connections), 0);
    // It has ended: the one in its place is selected.
    app.on_answer(2.0, Ok(answer(vec![connection(2, "b", 22.0, 9)])));
    assert_eq!(app.selected(Pane::Connections), 0);
    app.on_answer(3.0, Ok(answer(Vec::new())));
    assert_eq!(press(&mut app, "jGkr"), None);
    assert!(app.dialog.is_none());
}

#[test]
fn a_page_has_as_many_rows_as_are_shown() {
    let mut app = app();
    let mut key = |code| {
        app.on_key(KeyEvent::new(code, KeyModifiers::NONE), 2);
        app.selected(Pane::Connections)
    };
    let moves = [
        KeyCode::PageDown,
        KeyCode::PageDown,
        KeyCode::PageUp,
        KeyCode::End,
        KeyCode::Home,
    ];
    assert_eq!(moves.map(&mut key), [2, 2, 0, 2, 0]);
}

#[test]
fn a_filter_leaves_what_has_its_text() {
    let mut app = app();
    press(&mut app, "/198.");
    assert_eq!(numbers(&app), [3]);
    press(&mut app, "\x08\x08\x082.\n");
    assert!(numbers(&app).is_empty());
    press(&mut app, "/\x08\x08\x0892.0.2\n");
    assert_eq!(numbers(&app), [1, 2]);
    // q is a letter in a filter, and quits after it.
    press(&mut app, "/q");
    assert!(numbers(&app).is_empty());
    assert_eq!(press(&mut app, "\x1b"), None);
    assert_eq!(numbers(&app), [1, 2, 3]);
    press(&mut app, "/2\n");
    assert_eq!(press(&mut app, "\x1b"), None);
    assert_eq!(press(&mut app, "\x1b"), Some(Action::Quit));
}

#[test]
fn it_is_quit_in_every_mode() {
    let control = |code| KeyEvent::new(KeyCode::Char(code), KeyModifiers::CONTROL);
    for mode in ["", "/", "?", "d", "dy", "\t"] {
        let mut app = app();
        press(&mut app, mode);
        assert_eq!(app.on_key(control('c'), 1), Some(Action::Quit), "{mode:?}");
        assert_eq!(
            app.on_key(control('z'), 1),
            Some(Action::Suspend),
            "{mode:?}"
        );
    }
    assert_eq!(press(&mut app(), "q"), Some(Action::Quit));
    // The help is closed by any key.
    assert_eq!(press(&mut app(), "?q"), None);
}

#[test]
fn what_is_wanted_of_the_server_follows_the_keys() {
    let mut app = app();
    press(&mut app, "s ");
    let Wanted { sort, is_paused } = app.wanted();
    assert_eq!((sort, is_paused), (Sort::Received, true));
    press(&mut app, " ");
    assert!(!app.wanted().is_paused);
}

#[test]
fn an_old_answer_stays_while_there_is_no_new_one() {
    let mut app = app();
    app.on_answer(5.0, Err(anyhow::anyhow!("no answer\x1b[2J")));
    assert_eq!(app.trouble.as_deref(), Some("no answer\u{fffd}[2J"));
    assert_eq!((app.answered, numbers(&app).len()), (0.0, 3));
    assert!(app.is_overdue(5.0) && !app.is_overdue(3.0));
    app.on_answer(6.0, Ok(answer(Vec::new())));
    assert!(app.trouble.is_none() && !app.is_overdue(9.0));
    // Nothing is asked for while it is paused.
    press(&mut app, " ");
    assert!(!app.is_overdue(60.0));
}
