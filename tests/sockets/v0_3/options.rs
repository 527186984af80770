//! The options of a socket.

use crate::sockets::case::Case;
use socket2::{Domain, Socket, Type};

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

/// Those of the kernel.
pub async fn defaults(case: Case) {
    let ipv4 = case.ip.is_ipv4();
    let domain = if ipv4 { Domain::IPV4 } else { Domain::IPV6 };
    let socket = Socket::new(domain, Type::STREAM, None).expect("a socket");
    let idle_time = socket.tcp_keepalive_time().expect("an option");
    let interval = socket.tcp_keepalive_interval().expect("an option");
    let hop_limit = if ipv4 {
        socket.ttl_v4()
    } else {
        socket.unicast_hops_v6()
    };
    let expected = format!(
        "get: {} {} {} {} {}",
        socket.keepalive().expect("an option"),
        idle_time.as_secs(),
        interval.as_secs(),
        socket.tcp_keepalive_retries().expect("an option"),
        hop_limit.expect("an option"),
    );
    case.says(&[&expected]).await;
}

pub async fn not_shared(case: Case) {
    case.says(&["set: ok", "the listener's: the same"]).await;
}
