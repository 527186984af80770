//! The statistics, by jco.

use super::page::Page;
use super::{answer, answers, failures_are_resets, instances_are_used_again};
use std::collections::BTreeMap;

const PAGE: Page = Page {
    text: include_str!("../../guest/examples/javascript/README.md"),
    source: (
        "statistics.js",
        include_str!("../../guest/examples/javascript/statistics.js"),
    ),
    tool: "jco",
};

/// A service that fails, made by the same commands.
const FAILING: Page = Page {
    source: ("statistics.js", include_str!("failing.js")),
    ..PAGE
};

const NOT_UNDERSTOOD: &str = r#"{"error":"it is no JSON array of numbers"}"#;

const NO_LINE: &str = "{\"error\":\"a line has at most 4096 bytes, and an end\"}\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_statistics_are_served() {
    let Some(serving) = PAGE.serve() else { return };
    serving.answers_as_on_the_page().await;
    let dialogue = BTreeMap::from([
        ("[]", r#"{"count":0,"sum":0,"mean":null}"#),
        (" [ 1,\t2.5 ] \r", r#"{"count":2,"sum":3.5,"mean":1.75}"#),
        ("[-1e3]", r#"{"count":1,"sum":-1000,"mean":-1000}"#),
        ("", NOT_UNDERSTOOD),
        ("1", NOT_UNDERSTOOD),
        ("null", NOT_UNDERSTOOD),
        ("[1,\"2\"]", NOT_UNDERSTOOD),
        ("[[1]]", NOT_UNDERSTOOD),
        ("[1", NOT_UNDERSTOOD),
        ("\u{e9}", NOT_UNDERSTOOD),
    ]);
    answers(&serving, &dialogue).await;

    let no_text = format!("{NOT_UNDERSTOOD}\n{NOT_UNDERSTOOD}\n");
    assert_eq!(answer(&serving, b"[\"\xff\"]\n{}\n").await, no_text);
    assert_eq!(answer(&serving, b"").await, "");
    let cut_off = answer(&serving, b"[1]\n[1]").await;
    let first = "{\"count\":1,\"sum\":1,\"mean\":1}\n";
    assert_eq!(cut_off, format!("{first}{NO_LINE}"));
    let fits = [&[b' '; 4093][..], b"[1]\n"].concat();
    assert_eq!(answer(&serving, &fits).await, first);
    let too_long = [&[b' '; 4094][..], b"[1]\n"].concat();
    assert_eq!(answer(&serving, &too_long).await, NO_LINE);
    let deep = [&[b'['; 4096][..], b"\n"].concat();
    assert_eq!(answer(&serving, &deep).await, format!("{NOT_UNDERSTOOD}\n"));
    serving.stop();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_answer_that_a_bug_cuts_off_ends_in_a_reset() {
    if let Some(serving) = FAILING.serve() {
        failures_are_resets(serving).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_instance_is_used_again_though_it_drops_nothing() {
    if let Some(serving) = FAILING.serve_with("--processes 1 --reuse 100") {
        instances_are_used_again(serving).await;
    }
}
