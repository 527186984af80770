//! `start-bind` and `finish-bind`.

use super::case::Case;
use super::linked::Grant;

pub async fn a_port_is_chosen(case: Case) {
    case.says(&[
        "chosen: yes",
        "two of them are: another",
        "address: the same",
    ])
    .await;
}

pub async fn any_address(case: Case) {
    case.says(&["bind: ok", "address: the same", "accepted on: the same"])
        .await;
}

pub async fn port_in_use(case: Case) {
    case.says(&["bind: address-in-use"]).await;
}

pub async fn bound_but_not_listening(case: Case) {
    case.says(&["the second: ok", "the first: address-in-use"])
        .await;
}

pub async fn refused_addresses(case: Case) {
    let addresses = if case.ip.is_ipv4() {
        [
            "::1",
            "224.0.0.1",
            "239.255.255.255",
            "255.255.255.255",
            "255.255.255.255",
        ]
    } else {
        [
            "127.0.0.1",
            "ff02::1",
            "ff0e::1",
            "::ffff:127.0.0.1",
            "::ffff:0.0.0.0",
        ]
    };
    let lines = addresses.map(|ip| format!("{ip}: invalid-argument, then ok"));
    case.says(&lines.each_ref().map(String::as_str)).await;
}

pub async fn of_another_machine(case: Case) {
    case.says(&["bind: address-not-bindable"]).await;
}

pub async fn twice(case: Case) {
    case.says(&[
        "bind: invalid-state",
        "the same: invalid-state",
        "address: the same",
    ])
    .await;
}

pub async fn again_after_failure(case: Case) {
    case.says(&[
        "in use: address-in-use",
        "local-address: invalid-state",
        "not ours: address-not-bindable",
        "a good one: ok",
        "it listens: ok",
    ])
    .await;
}

pub async fn port_in_time_wait(case: Case) {
    case.says(&["bind: ok", "listen: ok"]).await;
}

pub async fn denied(case: Case) {
    case.granted(Grant::NotPort1)
        .says(&["bind: access-denied", "another: ok"])
        .await;
}

pub async fn both_families(case: Case) {
    case.says(&["bind: ok", "listen: ok"]).await;
}
