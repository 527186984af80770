use super::*;
use crate::top::app::App;
use crate::top::model::{Answer, Families};
use crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::style::Color;
use std::time::Duration;

/// A server of two services that has been asked so many times.
fn answer(times: u32) -> Answer {
    let status = r#"{"version":"0.1.0","state":"ready","process":7,"age":3780,"services":[
        {"name":"echo","state":"ready","listeners":["[::]:7","unix:/run/e"],"workers":[
            {"number":1,"process":8,"member":0,"age":61,"state":"accepting"}]},
        {"name":"smtp","state":"ending","listeners":["[::]:25"],"workers":[
            {"number":1,"process":9,"member":0,"age":60,"state":"finishing"}]}]}"#;
    let connections = r#"{"open":1002,"missing":[],"connections":[
        {"number":17,"service":"echo","peer":"192.0.2.7:40112","listener":"[::]:7","age":81.25,"received":4096,
            "sent":1048576,"state":"handling","instance":"own","worker":1},
        {"number":18,"service":"smtp","peer":"evil\u001b[2J\u202e","listener":"[::]:25","age":9.5,"received":1,
            "sent":2,"state":"without-instance","instance":"none","worker":1}]}"#;
    let log = r#"{"records":[
        {"time":"2026-11-29T12:00:00.000000Z","level":"WARN","text":"it is late"},
        {"time":"2026-11-29T12:00:01.000000Z","level":"ERROR","text":"it is gone"}]}"#;
    let accepted = 10 * times;
    let metrics = format!(
        r#"evconn_connections_accepted_total{{service="echo"}} {accepted}
evconn_connections_accepted_total{{service="smtp"}} 1
evconn_connections_open{{service="echo"}} 1001
evconn_connections_open{{service="smtp"}} 1
evconn_connections_refused_total{{service="echo",cause="handshake"}} 3
evconn_connections_ended_total{{service="echo",cause="done"}} {accepted}
evconn_connections_ended_total{{service="smtp",cause="trap"}} 2
evconn_process_resident_memory_bytes{{service="echo",process="0"}} 1048576
evconn_process_resident_memory_bytes{{service="smtp",process="0"}} 2097152
evconn_process_resident_memory_bytes{{process="main"}} 3145728
evconn_process_open_fds{{process="main"}} 25
evconn_process_cpu_seconds_total{{process="main"}} 1.5
"#
    );
    Answer {
        status: serde_json::from_str(status).expect("a status"),
        families: Some(Families::parse(&metrics)),
        log: serde_json::from_str(log).expect("a log"),
        connections: serde_json::from_str(connections).expect("connections"),
    }
}

/// A view of a server that was asked for some seconds.
fn app() -> App {
    let mut app = App::new(
        "localhost:9000".to_owned(),
        Duration::from_secs(1),
        answer(1),
    );
    for second in 1..120 {
        app.on_answer(second.into(), Ok(answer(second + 1)));
    }
    app
}

fn press(app: &mut App, keys: &str) {
    for key in keys.chars() {
        app.on_key(KeyEvent::new(KeyCode::Char(key), KeyModifiers::NONE), 2);
    }
}

fn drawn(app: &App, width: u16, height: u16, is_colored: bool) -> Terminal<TestBackend> {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).expect("a terminal");
    let palette = Palette { is_colored };
    let scene = Scene {
        app,
        palette,
        now: 119.0,
    };
    let mut scroll = Scroll::default();
    let frame = terminal.draw(|frame| draw(frame, scene, &mut scroll));
    frame.expect("drawn");
    terminal
}

/// Returns the lines of a screen of this size.
fn lines(app: &App, width: u16, height: u16) -> Vec<String> {
    let terminal = drawn(app, width, height, true);
    let cells = terminal.backend().buffer().content();
    let rows = cells.chunks(width.into());
    let text =
        |row: &[ratatui::buffer::Cell]| row.iter().map(|cell| cell.symbol()).collect::<String>();
    rows.map(|row| text(row).trim_end().to_owned()).collect()
}

/// Returns the first line that has a text in it.
fn line_with<'a>(lines: &'a [String], text: &str) -> &'a str {
    let found = lines.iter().find(|line| line.contains(text));
    found.unwrap_or_else(|| panic!("{text}: {lines:#?}"))
}

#[test]
fn a_usual_terminal_shows_values_and_connections() {
    let lines = lines(&app(), 80, 24);
    assert_eq!(lines.len(), 24);
    assert!(
        lines[0].starts_with(" evconn  ready  localhost:9000  up 1h03m  version 0.1.0"),
        "{}",
        lines[0]
    );
    assert!(lines[0].ends_with("every 1 s"), "{}", lines[0]);
    let accepted = line_with(&lines, "accepted");
    assert!(
        accepted.starts_with(" accepted              10/s  "),
        "{accepted}"
    );
    assert!(
        accepted.contains("█████  received                 –"),
        "{accepted}"
    );
    assert!(
        line_with(&lines, " connections ").starts_with(" connections          1.00k "),
        "{lines:#?}"
    );
    assert_eq!(
        lines[9],
        " 1 Connections  2 Listeners  3 Processes  4 Ends  5 Log         2 of 1,002 open"
    );
    assert_eq!(
        lines[10],
        " NUMBER  PEER             SERVICE   AGE▼  RECEIVED   SENT  STATE"
    );
    let row = "     17  192.0.2.7:40112  echo     1m21s     4 KiB  1 MiB  handling";
    assert_eq!(lines[11], row);
    assert!(
        lines[12].starts_with("     18  evil\u{fffd}[2J\u{fffd}"),
        "{}",
        lines[12]
    );
    assert!(
        lines[23].starts_with(" q quit  ? help  Tab table  s sort"),
        "{}",
        lines[23]
    );
}

#[test]
fn columns_are_left_out_where_there_is_no_space_for_them() {
    let wide = lines(&app(), 140, 24);
    let head = line_with(&wide, "NUMBER");
    assert!(
        head.ends_with("STATE             INSTANCE  WORKER"),
        "{head}"
    );
    let narrow = lines(&app(), 40, 10);
    assert_eq!(
        line_with(&narrow, "NUMBER"),
        " NUMBER  PEER              AGE▼"
    );
    assert!(narrow[1].starts_with(" accepted"), "{narrow:#?}");
    // The first of each group.
    assert!(narrow[2].starts_with(" connections"), "{narrow:#?}");
}

#[test]
fn each_table_is_shown() {
    let mut app = app();
    press(&mut app, "2");
    let listeners = lines(&app, 80, 24);
    assert_eq!(
        line_with(&listeners, "LISTENER"),
        " SERVICE  LISTENER     STATE       OPEN  ACCEPTED"
    );
    assert_eq!(
        line_with(&listeners, "[::]:7"),
        " echo     [::]:7       accepting  1,001     1,200"
    );
    assert_eq!(
        line_with(&listeners, "/run/e"),
        " echo     unix:/run/e  accepting"
    );
    assert_eq!(
        line_with(&listeners, "[::]:25"),
        " smtp     [::]:25      draining       1         1"
    );
    press(&mut app, "3");
    let processes = lines(&app, 80, 24);
    assert_eq!(
        line_with(&processes, "supervisor"),
        "          supervisor   7  ready      1h03m    1.50 s   3 MiB     25"
    );
    assert_eq!(
        line_with(&processes, "  9  "),
        " smtp     worker 1     9  finishing  1m00s         –   2 MiB      –"
    );
    press(&mut app, "4");
    let ends = lines(&app, 100, 24);
    assert!(
        line_with(&ends, "trap").contains("the guest trapped or exceeded a limit"),
        "{ends:#?}"
    );
    let done = line_with(&ends, " done");
    assert!(
        done.contains("1,190  1,200  the service was done with it"),
        "{done}"
    );
    let order = ["trap", "handshake", "done"]
        .map(|cause| ends.iter().position(|line| line.contains(cause)));
    assert!(order.is_sorted(), "{order:?}");
}

#[test]
fn warnings_and_errors_are_listed_with_the_newest_first() {
    let mut app = app();
    press(&mut app, "5");
    let lines = lines(&app, 80, 24);
    assert_eq!(lines[11], " 2026-11-29 12:00:01  error  it is gone");
    assert_eq!(lines[12], " 2026-11-29 12:00:00  warn   it is late");
}

#[test]
fn a_large_terminal_shows_charts_and_all_tables() {
    let lines = lines(&app(), 200, 60);
    for title in ["Connections", "Guest CPU", "Event-loop lag", "First byte"] {
        line_with(&lines, &format!("┌ {title} "));
    }
    assert!(
        line_with(&lines, "accepted 10/s").contains("refused 0/s failed 0/s"),
        "{lines:#?}"
    );
    for title in [
        "1 Connections  2 of 1,002 open",
        "2 Listeners",
        "3 Processes",
        "4 Ends",
        "5 Log",
    ] {
        line_with(&lines, title);
    }
    // The line of a chart, which is drawn with dots.
    let is_braille = |character| ('\u{2801}'..='\u{28ff}').contains(&character);
    assert!(
        lines.iter().any(|line| line.contains(is_braille)),
        "{lines:#?}"
    );
}

#[test]
fn a_terminal_that_is_too_small_says_so() {
    let lines = lines(&app(), 20, 5);
    assert_eq!(
        lines[..3],
        ["The terminal is too", "small: at least 30x8", ""]
    );
    for (width, height) in [
        (1, 1),
        (30, 8),
        (31, 9),
        (69, 8),
        (70, 300),
        (149, 31),
        (150, 32),
        (400, 12),
    ] {
        drawn(&app(), width, height, true);
    }
}

#[test]
fn a_server_that_does_not_answer_is_shown_as_it_was() {
    let mut app = app();
    app.on_answer(119.0, Err(anyhow::anyhow!("cannot connect")));
    app.answered = 100.0;
    let lines = lines(&app, 80, 24);
    assert!(
        lines[0].starts_with(" evconn  no answer for 19s  localhost:9000"),
        "{}",
        lines[0]
    );
    assert_eq!(
        lines[1],
        " No answer for 19s: cannot connect. Trying again."
    );
    line_with(&lines, "192.0.2.7:40112");
}

#[test]
fn questions_and_the_help_lie_over_the_rest() {
    let mut app = app();
    press(&mut app, "jr");
    for (width, height) in [(80, 24), (40, 10), (30, 8)] {
        let lines = lines(&app, width, height);
        line_with(&lines, "Reset connection 18 of");
        line_with(&lines, " y yes  n no ");
    }
    press(&mut app, "n?");
    let help = lines(&app, 80, 24);
    assert!(
        line_with(&help, "reset the selected").contains(" r  "),
        "{help:#?}"
    );
}

#[test]
fn the_filter_is_shown_while_it_is_edited_and_later() {
    let mut app = app();
    press(&mut app, "/evil");
    let edited = lines(&app, 80, 24);
    assert!(edited[23].starts_with(" Filter: evil▏"), "{}", edited[23]);
    assert!(line_with(&edited, "1 Connections").ends_with("1 of 1,002 with \"evil\""));
    press(&mut app, "x");
    line_with(&lines(&app, 80, 24), "No connection has this text");
}

#[test]
fn colours_are_the_terminals_own_and_can_be_left_out() {
    let mut app = app();
    press(&mut app, "d ");
    let colors = |is_colored| {
        let terminal = drawn(&app, 80, 24, is_colored);
        let cells = terminal.backend().buffer().content().iter();
        cells
            .flat_map(|cell| [cell.fg, cell.bg])
            .filter(|color| *color != Color::Reset)
            .collect::<Vec<_>>()
    };
    assert!(colors(false).is_empty());
    let is_own = |color: &Color| !matches!(color, Color::Rgb(..) | Color::Indexed(_));
    assert!(!colors(true).is_empty() && colors(true).iter().all(is_own));
}
