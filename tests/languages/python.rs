//! The calculator, by componentize-py.

use super::page::Page;
use super::{answer, answers, failures_are_resets, instances_are_used_again};
use std::collections::BTreeMap;

const PAGE: Page = Page {
    text: include_str!("../../guest/examples/python/README.md"),
    source: (
        "calculator.py",
        include_str!("../../guest/examples/python/calculator.py"),
    ),
    tool: "componentize-py",
};

/// A service that fails, made by the same commands.
const FAILING: Page = Page {
    source: ("calculator.py", include_str!("failing.py")),
    ..PAGE
};

const NOT_UNDERSTOOD: &str =
    "error: it takes whole numbers and + - * /, each after its two numbers";

const NO_LINE: &str = "error: a line has at most 1024 bytes, and an end\n";

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_calculator_is_served() {
    let Some(serving) = PAGE.serve() else { return };
    serving.answers_as_on_the_page().await;
    let dialogue = BTreeMap::from([
        ("7", "7"),
        (" 1 3 /\t1 6 / + \r", "1/2"),
        ("2 -3 *", "-6"),
        ("10 4 -", "6"),
        ("0 0 /", "error: it divides by zero"),
        ("", NOT_UNDERSTOOD),
        ("1 2", NOT_UNDERSTOOD),
        ("1 +", NOT_UNDERSTOOD),
        ("1.5", NOT_UNDERSTOOD),
        ("2 9 **", NOT_UNDERSTOOD),
        ("\u{e9}", NOT_UNDERSTOOD),
    ]);
    answers(&serving, &dialogue).await;

    // 256 factors in a line, and all digits of what they come to.
    let mut product = "9".to_owned();
    (0..255).for_each(|_| product += " 9 *");
    assert!(product.len() < 1024);
    let long = answer(&serving, format!("{product}\n").as_bytes()).await;
    assert_eq!(long.trim_end().len(), 245, "{long}");

    let no_text = format!("{NOT_UNDERSTOOD}\n7\n");
    assert_eq!(answer(&serving, b"\xff\n7\n").await, no_text);
    assert_eq!(answer(&serving, b"").await, "");
    assert_eq!(answer(&serving, b"7\n7").await, format!("7\n{NO_LINE}"));
    let fits = [&[b' '; 1022][..], b"7\n"].concat();
    assert_eq!(answer(&serving, &fits).await, "7\n");
    let too_long = [&[b' '; 1023][..], b"7\n"].concat();
    assert_eq!(answer(&serving, &too_long).await, NO_LINE);
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
