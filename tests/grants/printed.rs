//! What a service prints, and what it is denied, with the connection that it serves.

use super::command::Serving;

/// The lines of the log that have this in them.
fn lines<'a>(log: &'a str, text: &str) -> Vec<&'a str> {
    log.lines().filter(|line| line.contains(text)).collect()
}

/// The one line that has this in it.
fn line<'a>(log: &'a str, text: &str) -> &'a str {
    match lines(log, text)[..] {
        [line] => line,
        _ => panic!("not one line with {text:?} in:\n{log}"),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_is_logged_line_by_line_with_the_connection() {
    let serving = Serving::start(&[]);
    assert_eq!(serving.answer(r"print one\ntwo\n").await, "printed\n");
    assert_eq!(serving.answer("eprint without an end").await, "printed\n");
    let log = serving.stop();
    for text in ["stdout: \"one\" number=1", "stdout: \"two\" number=1"] {
        assert!(line(&log, text).contains(" INFO "), "{log}");
        assert!(line(&log, text).contains(" peer=127.0.0.1:"), "{log}");
    }
    line(&log, "stderr: \"without an end\" number=2 peer=127.0.0.1:");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_cannot_fake_a_line_or_reach_the_terminal() {
    let serving = Serving::start(&[]);
    let fake = r#"print \e[31m"quoted" number=9 C:\path\n"#;
    assert_eq!(serving.answer(fake).await, "printed\n");
    let log = serving.stop();
    let expected =
        r#"connection's stdout: "\u{1b}[31m\"quoted\" number=9 C:\\path" number=1 peer="#;
    line(&log, expected);
    assert!(!log.contains('\u{1b}'), "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_long_line_is_cut() {
    let serving = Serving::start(&[]);
    let long = format!(r"print {}\nnext\n", "x".repeat(100_000));
    assert_eq!(serving.answer(&long).await, "printed\n");
    let log = serving.stop();
    let shown = line(&log, "xxx");
    assert!(shown.len() < 1200, "{} bytes", shown.len());
    assert!(shown.contains("x\"… number=1"), "{shown}");
    line(&log, "stdout: \"next\" number=1");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_flood_is_held_back() {
    let serving = Serving::start(&[]);
    assert_eq!(serving.answer("flood 100000").await, "printed\n");
    assert_eq!(serving.answer("print the next one").await, "printed\n");
    let log = serving.stop();
    // Within 10 seconds; on a slow machine some may fall into the next period.
    let shown = lines(&log, "stdout: \"line ").len();
    assert!((100..10_000).contains(&shown), "{shown} lines");
    line(&log, "stdout: \"line 100\" number=1");
    let more = lines(
        &log,
        "prints more than 100 lines in 10s: further ones are left out",
    );
    assert!(!more.is_empty() && more[0].contains("number=1"), "{more:?}");
    let left_out: usize = lines(&log, "lines that it printed were left out")
        .iter()
        .map(|line| {
            let (_, count) = line.split_once("service: ").expect("a count");
            let (count, _) = count.split_once(' ').expect("a count");
            count.parse::<usize>().expect("a number")
        })
        .sum();
    assert_eq!(shown + left_out, 100_000);
    // Each connection has a limit of its own.
    line(&log, "stdout: \"the next one\" number=2");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_at_a_time_than_is_allowed_is_a_trap() {
    let serving = Serving::start(&[]);
    assert_eq!(serving.answer("print-at-once 4096").await, "printed\n");
    serving.fail("print-at-once 1000000").await;
    assert_eq!(serving.answer("print the next one").await, "printed\n");
    let log = serving.stop();
    let failure = line(&log, "connection failed: ");
    let why = "1000000 bytes were written, but check-write allowed 4096";
    assert!(
        failure.contains(why) && failure.contains("number=2"),
        "{log}"
    );
    assert_eq!(lines(&log, "connection's stdout").len(), 2, "{log}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_text_of_a_panic_comes_before_the_failure() {
    let serving = Serving::start(&[]);
    serving.fail("panic no such thing").await;
    let log = serving.stop();
    let (text, failure) = (
        line(&log, "stderr: \"no such thing\" number=1"),
        line(&log, "connection failed: "),
    );
    assert!(log.find(text) < log.find(failure), "{log}");
    line(
        &log,
        "stderr: \"thread 'main' panicked at src/lib.rs:1:1:\"",
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_that_is_used_again_prints_for_its_connection() {
    let serving = Serving::start(&["--reuse", "10"]);
    for number in 1..=3 {
        let command = format!("print of connection {number}");
        assert_eq!(serving.answer(&command).await, "printed\n");
    }
    let log = serving.stop();
    for number in 1..=3 {
        line(
            &log,
            &format!("stdout: \"of connection {number}\" number={number} peer="),
        );
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn inherited_it_is_as_it_was_written_after_the_number() {
    let serving = Serving::start(&["--inherit-stderr"]);
    assert_eq!(
        serving.answer(r"print \e[31mone\n\ntwo\n").await,
        "printed\n"
    );
    assert_eq!(serving.answer("eprint without an end").await, "printed\n");
    serving.fail("panic no such thing").await;
    assert_eq!(serving.answer("flood 1000").await, "printed\n");
    let text = serving.stop();
    let of = |number: u32| -> Vec<_> {
        let prefix = format!("[{number}] ");
        let ours = text.lines().filter_map(|line| line.strip_prefix(&prefix));
        ours.collect()
    };
    assert_eq!(of(1), ["\u{1b}[31mone", "", "two"]);
    assert_eq!(of(2), ["without an end"]);
    assert_eq!(
        of(3),
        [
            "",
            "thread 'main' panicked at src/lib.rs:1:1:",
            "no such thing"
        ]
    );
    assert_eq!(of(4).len(), 1000);
    assert!(!text.contains("connection's"), "{text}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denial_names_the_flag_that_would_grant_it() {
    let serving = Serving::start(&["--allow-connect", "192.0.2.1:80"]);
    for (command, expected) in [
        ("connect 192.0.2.2 81 hello", "access-denied\n"),
        ("resolve db.example", "permanent-resolver-failure\n"),
    ] {
        assert_eq!(serving.answer(command).await, expected);
    }
    let log = serving.stop();
    let connect = line(
        &log,
        "connection's service may not connect to 192.0.2.2:81: grant it with --allow-connect 192.0.2.2:81 ",
    );
    assert!(connect.contains(" number=1 peer=127.0.0.1:"), "{connect}");
    let name = line(
        &log,
        "connection's service may not look db.example up: grant it with --allow-connect db.example:PORT ",
    );
    assert!(name.contains(" number=2 peer=127.0.0.1:"), "{name}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn denials_are_logged_a_few_times_for_each_connection() {
    let serving = Serving::start(&[]);
    assert_eq!(serving.answer("deny-me 1000").await, "1000 times\n");
    assert_eq!(serving.answer("deny-me 1").await, "1 times\n");
    let log = serving.stop();
    let denials = lines(&log, "may not look db.example up");
    assert_eq!(denials.len(), 5, "{log}");
    assert!(denials[3].contains("further denials are not logged number=1"));
    assert!(denials[4].contains(" number=2 "));
}
