//! `bind`.

use crate::sockets::case::Case;
use crate::sockets::linked::Grant;

pub async fn a_port_is_chosen(case: Case) {
    case.says(&["bind: ok", "ip: the same", "port: yes"]).await;
}

pub async fn any_address(case: Case) {
    case.says(&["bind: ok", "ip: the same"]).await;
}

pub async fn port_in_use(case: Case) {
    case.says(&["bind: address-in-use"]).await;
}

pub async fn refused_addresses(case: Case) {
    let addresses = match case.ip.is_ipv4() {
        true => ["224.0.0.1", "255.255.255.255", "::1"],
        false => ["ff02::1", "::ffff:127.0.0.1", "127.0.0.1"],
    };
    let lines = addresses.map(|ip| format!("{ip}: invalid-argument"));
    case.says(&lines.each_ref().map(String::as_str)).await;
}

pub async fn of_another_machine(case: Case) {
    case.says(&["bind: address-not-bindable"]).await;
}

pub async fn twice(case: Case) {
    case.says(&["bind: invalid-state", "address: the same"])
        .await;
}

pub async fn again_after_failure(case: Case) {
    case.says(&[
        "bind: address-in-use",
        "local-address: invalid-state",
        "again: ok",
    ])
    .await;
}

pub async fn denied(case: Case) {
    case.granted(Grant::NotPort1)
        .says(&["bind: access-denied", "again: ok"])
        .await;
}

pub use crate::sockets::bind::{bound_but_not_listening, port_in_time_wait};

/// An IPv6 socket leaves the port of IPv4 alone. An IPv4 socket does the same.
pub async fn both_families(case: Case) {
    case.says(&["bind: ok", "listen: ok"]).await;
}
