//! `docs/metrics.md` has what is rendered.

use super::start;
use crate::support::descriptors::unchanged;
use std::collections::BTreeMap;

const PAGE: &str = include_str!("../../docs/metrics.md");

/// Returns the type of each metric that is rendered.
fn rendered(text: &str) -> BTreeMap<String, String> {
    let lines = text.lines().filter_map(|line| line.strip_prefix("# TYPE "));
    let named = lines.filter_map(|line| line.split_once(' '));
    let with_suffix = |(name, kind): (&str, &str)| {
        let suffix = if kind == "counter" { "_total" } else { "" };
        (format!("{name}{suffix}"), kind.to_owned())
    };
    named.map(with_suffix).collect()
}

/// Returns the type of each metric in the tables of the page.
fn documented() -> BTreeMap<String, String> {
    let rows = PAGE.lines().filter(|line| line.starts_with("| `evconn_"));
    let cells = rows.map(|row| row.split('|').map(str::trim).collect::<Vec<_>>());
    let named = cells.map(|cells| {
        let name = cells[1].trim_matches('`').split('{').next();
        (name.expect("a name").to_owned(), cells[2].to_owned())
    });
    named.collect()
}

#[tokio::test]
async fn the_page_has_each_metric_and_no_other() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let text = server.handle.metrics().encode();
    server.stop().await;
    assert_eq!(documented(), rendered(&text));
}

/// The page names each cause that a label can have.
#[tokio::test]
async fn the_page_has_each_label() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let text = server.handle.metrics().encode();
    server.stop().await;
    let labelled = text
        .lines()
        .filter(|line| line.contains("{cause=") || line.contains("{kind="));
    let mut count = 0;
    for line in labelled {
        let label = line.split('"').nth(1).expect("a value");
        assert!(PAGE.contains(&format!("`{label}`")), "{label}");
        count += 1;
    }
    assert!(count > 20, "{count} labels");
}
