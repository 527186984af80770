//! The options of a socket.

use crate::sockets::case::Case;

/// The same of each of them.
async fn says_of_each(case: Case, names: &[&str], outcome: &str) {
    let line = |name: &&str| format!("{name}: {outcome}");
    let lines: Vec<_> = names.iter().map(line).collect();
    case.says(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
}

pub async fn zero(case: Case) {
    let names = [
        "keep-alive-idle-time",
        "keep-alive-interval",
        "keep-alive-count",
        "hop-limit",
        "receive-buffer-size",
        "send-buffer-size",
    ];
    says_of_each(case, &names, "invalid-argument").await;
}

pub async fn read_back(case: Case) {
    case.says(&[
        "set: ok",
        "get: true 42 7 5 42",
        "receive-buffer-size: yes",
        "send-buffer-size: yes",
    ])
    .await;
}

pub async fn clamped(case: Case) {
    let names = [
        "shortest idle time",
        "longest idle time",
        "shortest interval",
        "longest interval",
        "most probes",
        "most hops",
        "smallest buffer",
        "largest buffer",
        "smallest send buffer",
        "largest send buffer",
    ];
    says_of_each(case, &names, "ok").await;
}

pub async fn inherited(case: Case) {
    case.says(&["set: ok", "options: the same", "family: yes"])
        .await;
}

pub async fn set_while_listening(case: Case) {
    case.says(&["set: ok", "inherited: yes"]).await;
}
