//! The options of a socket.

use super::case::Case;
use socket2::{Domain, Socket, Type};

const NAMES: [&str; 7] = [
    "keep-alive-enabled",
    "keep-alive-idle-time",
    "keep-alive-interval",
    "keep-alive-count",
    "hop-limit",
    "receive-buffer-size",
    "send-buffer-size",
];

/// The same of each of them.
async fn says_of_each(case: Case, names: &[&str], outcome: &str) {
    let lines: Vec<_> = names
        .iter()
        .map(|name| format!("{name}: {outcome}"))
        .collect();
    case.says(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
}

/// Those of the kernel. Of a buffer, Linux tells twice the size that is there for use.
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
    let values = [
        u128::from(socket.keepalive().expect("an option")),
        idle_time.as_nanos(),
        interval.as_nanos(),
        socket.tcp_keepalive_retries().expect("an option").into(),
        hop_limit.expect("an option").into(),
        socket.recv_buffer_size().expect("an option") as u128 / 2,
        socket.send_buffer_size().expect("an option") as u128 / 2,
    ];
    let lines: Vec<_> = NAMES
        .iter()
        .zip(values)
        .map(|(name, value)| format!("{name}: {value}"))
        .collect();
    case.says(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
}

pub async fn zero(case: Case) {
    says_of_each(case, &NAMES[1..], "invalid-argument, the same").await;
}

pub async fn read_back(case: Case) {
    case.says(&[
        "unbound: yes",
        "bound: yes",
        "listening: yes",
        "connected: yes",
        "keep-alive-enabled off again: 0",
    ])
    .await;
}

pub async fn shortest(case: Case) {
    says_of_each(case, &NAMES[1..], "ok, yes").await;
}

pub async fn largest(case: Case) {
    says_of_each(case, &NAMES[1..], "ok, yes").await;
}

pub async fn inherited(case: Case) {
    let names: Vec<_> = NAMES.into_iter().chain(["address-family"]).collect();
    says_of_each(case, &names, "yes").await;
}

pub async fn set_while_listening(case: Case) {
    let names: Vec<_> = NAMES.into_iter().chain(["address-family"]).collect();
    says_of_each(case, &names, "yes").await;
}

pub async fn not_shared(case: Case) {
    case.says(&["the listener's: the same"]).await;
}
