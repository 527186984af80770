//! What ends the instance, and for which reason.

use super::case::Case;

const HAS_CHILDREN: &str = "resource has children";

pub async fn socket_before_input(case: Case) {
    case.traps(HAS_CHILDREN).await;
}

pub async fn socket_before_output(case: Case) {
    case.traps(HAS_CHILDREN).await;
}

pub async fn socket_before_pollable(case: Case) {
    case.traps(HAS_CHILDREN).await;
}

pub async fn listener_before_pollable(case: Case) {
    case.traps(HAS_CHILDREN).await;
}

pub async fn input_before_pollable(case: Case) {
    case.traps(HAS_CHILDREN).await;
}

pub async fn output_before_pollable(case: Case) {
    case.traps(HAS_CHILDREN).await;
}

pub async fn empty_poll(case: Case) {
    case.traps("empty poll list").await;
}

pub async fn write_without_permission(case: Case) {
    case.traps("bytes").await;
}

pub async fn write_too_much(case: Case) {
    case.traps("bytes").await;
}

pub async fn listener_before_accepted(case: Case) {
    let mut program = case.start(&[]);
    program.hear("ready").await;
    program.ends(&["received: 1"]).await;
}
