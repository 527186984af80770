//! What happens in a process without free descriptors: each case has a process of its own.

use super::case::Case;
use crate::support::limit::NoMoreDescriptors;

pub async fn create(case: Case) {
    let mut program = case.start(&[]);
    program.hear("ready").await;
    let limit = NoMoreDescriptors::new();
    program.tell().await;
    let without = program.hear("without").await;
    program.sees("without", &without, "new-socket-limit");
    program.hear("tried").await;
    drop(limit);
    program.tell().await;
    program.ends(&["with: ok"]).await;
}

pub async fn accepting(case: Case) {
    let mut program = case.start(&[]);
    let _peer = program.connect().await;
    let limit = NoMoreDescriptors::new();
    program.tell().await;
    for what in ["without", "and again"] {
        let outcome = program.hear(what).await;
        program.sees(what, &outcome, "new-socket-limit");
    }
    program.hear("tried").await;
    drop(limit);
    program.tell().await;
    program.ends(&["with: ok"]).await;
}
