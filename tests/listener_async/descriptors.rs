//! A program that has no descriptors left: errors of accept.

use super::run;
use crate::sockets::case::Case;
use crate::sockets::linked::Implementation;
use crate::support::alone;
use crate::support::limit::NoMoreDescriptors;
use evconn::sockets::{Account, AccountLimits, Counted};
use std::net::Ipv4Addr;

/// The listening socket, and a client.
const DESCRIPTORS: usize = 2;

fn run_limited<F: Future<Output = ()>>(name: &'static str, body: impl FnOnce(Case) -> F) {
    let _open = crate::support::descriptors::unchanged();
    let ip = Ipv4Addr::LOCALHOST.into();
    run(Implementation::Own, name, ip, async |mut case: Case| {
        let limits = AccountLimits {
            descriptors: DESCRIPTORS,
            ..AccountLimits::default()
        };
        let account = Account::new(limits, None);
        case.setup.account = Some(account.clone());
        body(case).await;
        assert_eq!(account.used(Counted::Descriptors), 0);
    });
}

/// An event for each step; the connection is not lost.
#[test]
fn errors_are_told_and_it_goes_on() {
    run_limited("events::errors", async |case| {
        case.says(&[
            "events: 1",
            "code: other",
            "retrying: 5",
            "goes on: yes",
            "then: 10",
            "counted: yes",
            "accepted: yes",
        ])
        .await;
    });
}

#[test]
fn without_an_error_callback_there_are_steps_and_no_events() {
    run_limited("events::errors_that_nobody_wants", async |case| {
        case.says(&["events: 0", "addresses: 1", "errors: yes", "at once: no"])
            .await;
    });
}

/// wasmtime-wasi tells of an error in the same way: by a socket that it has closed.
#[test]
fn wasmtime_tells_errors_too() {
    let path = concat!(module_path!(), "::wasmtime_tells_errors_too");
    alone::alone(path, || {
        let ip = Ipv4Addr::LOCALHOST.into();
        run(
            Implementation::Wasmtime,
            "library::told",
            ip,
            async |case| {
                let mut program = case.start(&[]);
                let _client = program.connect().await;
                let none = NoMoreDescriptors::new();
                program.tell().await;
                let code = program.hear("code").await;
                drop(none);
                assert_eq!(code, "other");
                program.ends(&["accepted: yes"]).await;
            },
        );
    });
}
