//! The text that is scraped.

use super::start;
use crate::support::descriptors::unchanged;
use crate::support::tool::run;
use crate::support::{connect, eventually, exchange};
use std::collections::BTreeSet;
use std::process::Command;

#[tokio::test]
async fn each_metric_has_its_type_and_its_help() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let text = server.handle.metrics().encode();
    server.stop().await;
    assert!(text.ends_with("\n# EOF\n"), "{text}");
    let of = |kind: &str| -> BTreeSet<&str> {
        let lines = text.lines().filter_map(|line| line.strip_prefix(kind));
        lines.filter_map(|line| line.split(' ').next()).collect()
    };
    let (helped, typed) = (of("# HELP "), of("# TYPE "));
    assert_eq!(helped, typed);
    assert!(
        typed.iter().all(|name| name.starts_with("evconn_")),
        "{typed:?}"
    );
    for line in text.lines().filter(|line| line.starts_with("# UNIT ")) {
        let mut words = line.split(' ').skip(2);
        let (name, unit) = (words.next(), words.next());
        let (name, unit) = (name.expect("a name"), unit.expect("a unit"));
        assert!(name.ends_with(&format!("_{unit}")), "{line}");
    }
    for sample in text.lines().filter(|line| !line.starts_with('#')) {
        let is_typed = typed.iter().any(|name| sample.starts_with(name));
        assert!(is_typed && !sample.contains("NaN"), "{sample}");
    }
}

/// The file descriptors, the mappings and the memory of this process are among them.
#[cfg(target_os = "linux")]
#[tokio::test]
async fn the_process_is_measured() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let metrics = server.handle.metrics();
    for (name, least) in [
        ("cpu_seconds_total", 0.0),
        ("open_fds", 3.0),
        ("resident_memory_bytes", 1e6),
    ] {
        let sample = format!("evconn_process_{name}{{process=\"main\"}}");
        assert!(super::value(&metrics, &sample) >= least, "{name}");
    }
    // They are counted by another thread.
    let mappings = "\nevconn_process_memory_mappings{process=\"main\"} ";
    eventually("the mappings are counted", || {
        metrics.encode().contains(mappings).then_some(())
    });
    server.stop().await;
}

#[tokio::test]
async fn promtool_finds_no_fault() {
    let _open = unchanged();
    let server = start(|builder| builder).await;
    let peer = connect(server.address).await;
    assert_eq!(exchange(peer, b"echo\nhello").await, b"hello");
    let text = server.handle.metrics().encode_text();
    server.stop().await;
    let mut command = Command::new("promtool");
    let Some(output) = run(command.args(["check", "metrics"]), text.as_bytes()) else {
        return;
    };
    let said = [output.stdout, output.stderr].concat();
    let said = String::from_utf8_lossy(&said);
    assert!(output.status.success() && said.is_empty(), "{said}\n{text}");
}
