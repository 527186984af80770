//! Every function in every state of TcpSocketOperationalSemantics.md: what came of it, and in which
//! state the socket is after that.

use super::case::Case;
use super::linked::Grant;

/// What is said of an option, of the family, and of a shutdown where there is no connection.
async fn says(case: Case, state: &str, lines: &[&str]) {
    let lines: Vec<_> = lines.iter().map(|line| line.replace('=', state)).collect();
    case.says(&lines.iter().map(String::as_str).collect::<Vec<_>>())
        .await;
}

pub async fn unbound(case: Case) {
    says_of_unbound(case).await;
}

pub async fn unbound_after_start_connect(case: Case) {
    says_of_unbound(case).await;
}

async fn says_of_unbound(case: Case) {
    let lines = [
        "start-bind: ok, bind-in-progress",
        "finish-bind: not-in-progress, =",
        "start-connect: ok, connect-in-progress",
        "finish-connect: not-in-progress, =",
        "start-listen: invalid-state, =",
        "finish-listen: not-in-progress, =",
        "accept: invalid-state, =",
        "local-address: invalid-state, =",
        "remote-address: invalid-state, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: ok, =",
        "get options: ok, =",
        "set options: ok, =",
        "subscribe: ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says(case, "unbound", &lines).await;
}

pub async fn bind_in_progress(case: Case) {
    let lines = [
        "start-bind: concurrency-conflict, =",
        "finish-bind: ok, bound",
        "start-connect: concurrency-conflict, =",
        "finish-connect: not-in-progress, =",
        "start-listen: concurrency-conflict, =",
        "finish-listen: not-in-progress, =",
        "accept: invalid-state, =",
        "local-address: invalid-state, =",
        "remote-address: invalid-state, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: ok, =",
        "get options: ok, =",
        "set options: ok, =",
        "subscribe: ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says(case, "bind-in-progress", &lines).await;
}

pub async fn bound(case: Case) {
    says_of_bound(case).await;
}

pub async fn bound_after_start_connect(case: Case) {
    says_of_bound(case).await;
}

async fn says_of_bound(case: Case) {
    let lines = [
        "start-bind: invalid-state, =",
        "finish-bind: not-in-progress, =",
        "start-connect: ok, connect-in-progress",
        "finish-connect: not-in-progress, =",
        "start-listen: ok, listen-in-progress",
        "finish-listen: not-in-progress, =",
        "accept: invalid-state, =",
        "local-address: ok, =",
        "remote-address: invalid-state, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: ok, =",
        "get options: ok, =",
        "set options: ok, =",
        "subscribe: ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says(case, "bound", &lines).await;
}

pub async fn listen_in_progress(case: Case) {
    let lines = [
        "start-bind: concurrency-conflict, =",
        "finish-bind: not-in-progress, =",
        "start-connect: concurrency-conflict, =",
        "finish-connect: not-in-progress, =",
        "start-listen: concurrency-conflict, =",
        "finish-listen: ok, listening",
        "accept: invalid-state, =",
        "local-address: ok, =",
        "remote-address: invalid-state, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: ok, =",
        "get options: ok, =",
        "set options: ok, =",
        "subscribe: ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says(case, "listen-in-progress", &lines).await;
}

pub async fn listening(case: Case) {
    let lines = [
        "start-bind: invalid-state, =",
        "finish-bind: not-in-progress, =",
        "start-connect: invalid-state, =",
        "finish-connect: not-in-progress, =",
        "start-listen: invalid-state, =",
        "finish-listen: not-in-progress, =",
        "accept: would-block, =",
        "local-address: ok, =",
        "remote-address: invalid-state, =",
        "is-listening: yes, =",
        "address-family: the same, =",
        "set-listen-backlog-size: ok, =",
        "get options: ok, =",
        "set options: ok, =",
        "subscribe: not ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says(case, "listening", &lines).await;
}

pub async fn connect_in_progress(case: Case) {
    says_of_connect_in_progress(case).await;
}

/// Whether it was bound before makes no difference.
pub async fn bound_connect_in_progress(case: Case) {
    says_of_connect_in_progress(case).await;
}

/// Nor does it whether somebody has waited for it.
pub async fn resolved_connect_in_progress(case: Case) {
    says_of_connect_in_progress(case).await;
}

async fn says_of_connect_in_progress(case: Case) {
    let lines = [
        "start-bind: concurrency-conflict, =",
        "finish-bind: not-in-progress, =",
        "start-connect: concurrency-conflict, =",
        "finish-connect: ok, connected",
        "start-listen: concurrency-conflict, =",
        "finish-listen: not-in-progress, =",
        "accept: invalid-state, =",
        "local-address: ok, =",
        "remote-address: invalid-state, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: invalid-state, =",
        "get options: ok, =",
        "set options: ok, =",
        "subscribe: ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says(case, "connect-in-progress", &lines).await;
}

pub async fn connected(case: Case) {
    says_of_connected(case).await;
}

pub async fn accepted(case: Case) {
    says_of_connected(case).await;
}

async fn says_of_connected(case: Case) {
    let lines = [
        "start-bind: invalid-state, =",
        "finish-bind: not-in-progress, =",
        "start-connect: invalid-state, =",
        "finish-connect: not-in-progress, =",
        "start-listen: invalid-state, =",
        "finish-listen: not-in-progress, =",
        "accept: invalid-state, =",
        "local-address: ok, =",
        "remote-address: ok, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: invalid-state, =",
        "get options: ok, =",
        "set options: ok, =",
        "subscribe: ready, =",
        "shutdown receive: ok, =",
        "shutdown send: ok, =",
        "shutdown both: ok, =",
    ];
    says(case, "connected", &lines).await;
}

pub async fn failed_connect_in_progress(case: Case) {
    says_of_failed_connect(case, "connection-refused").await;
}

pub async fn denied_connect_in_progress(case: Case) {
    let case = case.granted(Grant::NotPort1);
    says_of_failed_connect(case, "access-denied").await;
}

/// The outcome is there already, and so each call that wants a connection says it.
async fn says_of_failed_connect(case: Case, code: &str) {
    let lines = [
        "start-bind: concurrency-conflict, =",
        "finish-bind: not-in-progress, =",
        "start-connect: concurrency-conflict, =",
        "finish-connect: CODE, closed",
        "start-listen: concurrency-conflict, =",
        "finish-listen: not-in-progress, =",
        "accept: invalid-state, =",
        "local-address: CODE, =",
        "remote-address: CODE, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: CODE, =",
        "get options: CODE, =",
        "set options: CODE, =",
        "subscribe: ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says_with_code(case, "connect-in-progress", code, &lines).await;
}

/// The same with the code of a failure.
async fn says_with_code(case: Case, state: &str, code: &str, lines: &[&str]) {
    let lines: Vec<_> = lines
        .iter()
        .map(|line| line.replace("CODE", code))
        .collect();
    says(
        case,
        state,
        &lines.iter().map(String::as_str).collect::<Vec<_>>(),
    )
    .await;
}

pub async fn closed(case: Case) {
    says_of_closed(case, "connection-refused").await;
}

pub async fn closed_by_denial(case: Case) {
    says_of_closed(case.granted(Grant::NotPort1), "access-denied").await;
}

pub async fn closed_by_listen(case: Case) {
    says_of_closed(case, "address-in-use").await;
}

/// With the code of what has closed it: wasi-libc ends the program at `invalid-state`.
async fn says_of_closed(case: Case, code: &str) {
    let lines = [
        "start-bind: invalid-state, =",
        "finish-bind: not-in-progress, =",
        "start-connect: invalid-state, =",
        "finish-connect: not-in-progress, =",
        "start-listen: invalid-state, =",
        "finish-listen: not-in-progress, =",
        "accept: invalid-state, =",
        "local-address: CODE, =",
        "remote-address: CODE, =",
        "is-listening: no, =",
        "address-family: the same, =",
        "set-listen-backlog-size: CODE, =",
        "get options: CODE, =",
        "set options: CODE, =",
        "subscribe: ready, =",
        "shutdown receive: invalid-state, =",
        "shutdown send: invalid-state, =",
        "shutdown both: invalid-state, =",
    ];
    says_with_code(case, "closed", code, &lines).await;
}
