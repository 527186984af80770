//! `async-listener.wasm`, composed with the program `tests/programs/async-listens`, on wasmtime-wasi's sockets and on the
//! host's own.

mod descriptors;

use crate::sockets::case::{self, Case};
use crate::sockets::linked::{Compiled, Implementation};
use evconn::Composer;
use std::net::IpAddr;
use std::sync::{Arc, OnceLock};

/// The program with the listener, once for all tests.
fn composed() -> Arc<Compiled> {
    static COMPILED: OnceLock<Arc<Compiled>> = OnceLock::new();
    Arc::clone(COMPILED.get_or_init(|| {
        let composition = Composer::new().compose(evconn_artifacts::ASYNC_LISTENS);
        let composition = composition.expect("it imports the listener");
        Arc::new(Compiled::of_async(composition.binary()))
    }))
}

/// Runs a case, if this machine has that family of addresses.
fn run<F: Future<Output = ()>>(
    implementation: Implementation,
    name: &'static str,
    ip: IpAddr,
    body: impl FnOnce(Case) -> F,
) {
    if ip.is_ipv4() || crate::support::has_ipv6() {
        case::run_compiled(composed(), implementation, name, ip, |mut case| {
            case.program = Some("async-listens");
            body(case)
        });
    }
}

/// Checks what a case says, over each family and on each implementation.
macro_rules! cases {
    ($($theme:ident { $($name:ident $lines:tt)* })*) => {
        cases!(@of wasmtime Wasmtime: $($theme { $($name $lines)* })*);
        cases!(@of own Own: $($theme { $($name $lines)* })*);
    };
    (@of $module:ident $implementation:ident: $($theme:ident { $($name:ident $lines:tt)* })*) => {
        mod $module {
            use crate::sockets::linked::Implementation::$implementation as IMPLEMENTATION;

            $(mod $theme {
                mod ipv4 {
                    const IP: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
                    $(cases!(@test $theme $name $lines);)*
                }
                mod ipv6 {
                    const IP: std::net::IpAddr = std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
                    $(cases!(@test $theme $name $lines);)*
                }
            })*
        }
    };
    (@test $theme:ident $name:ident $lines:tt) => {
        #[test]
        fn $name() {
            let _open = crate::support::descriptors::unchanged();
            let name = concat!(stringify!($theme), "::", stringify!($name));
            crate::listener_async::run(super::super::IMPLEMENTATION, name, IP, async |case| {
                case.says(&$lines).await;
            });
        }
    };
}

cases! {
    events {
        batches ["of two: 2", "in their order: yes", "callback: yes", "received: no", "accepted: 5"]
        a_wait ["at once: no", "peer: yes", "peer: yes", "peer: yes"]
        nothing_is_asked_for ["events: 0", "accepted: 0"]
        a_wait_that_is_cancelled ["all of them, in their order: yes"]
        several_calls ["different: yes"]
    }
    states {
        disabled [
            "state: disabled",
            "at once: no",
            "enable: ok",
            "later: yes",
            "state: accepting",
        ]
        paused ["state: paused", "at once: no", "callback: 99", "state: paused"]
        changes [
            "at once: no",
            "disabled: no",
            "enable: ok",
            "enable: ok",
            "peer: yes",
            "callback: 1",
            "accepted: 2",
        ]
        dropped [
            "at once: no",
            "connect: ConnectionRefused",
            "a byte for who waits: no",
            "a byte of who was delivered: yes",
        ]
    }
    options {
        invalid [
            "backlog 0: InvalidArgument",
            "backlog 1: ok",
            "hold none: InvalidArgument",
            "for no time: InvalidArgument",
            "ipv6-only: InvalidArgument",
            "dual-stack: InvalidArgument",
            "reuse-port: NotSupported",
            "again: AddressInUse",
        ]
    }
    sockets {
        bound ["peer: yes"]
        there_and_back [
            "at once: no",
            "is-listening: yes",
            "peer: yes",
            "at once: no",
            "is-listening: yes",
            "peer: yes",
            "at once: no",
            "is-listening: yes",
            "peer: yes",
            "accepted: 1",
        ]
        refused [
            "none: InvalidArgument",
            "three: InvalidArgument",
            "no pair: InvalidArgument",
            "unbound: InvalidState",
            "without its connections: InvalidState",
            "with those of another: InvalidState",
            "connected: InvalidState",
        ]
    }
    deferred {
        bytes ["peer: yes", "byte: yes", "held: 1", "at once: no"]
        ended ["peer: yes", "byte: no", "ended: yes"]
        full ["at once: no", "held: 1", "first: yes", "second: yes"]
        too_late ["byte: no", "timed out: 1", "held: 0"]
    }
    library {
        echo ["all of them: yes"]
        control [
            "disabled: yes",
            "at once: no",
            "peer: yes",
            "peer: yes",
            "accepted: 2",
            "dropped: yes",
            "enable: no",
        ]
    }
}

/// Both sockets, which takes both families.
mod dual_stack {
    use super::{Implementation, run};
    use std::net::Ipv6Addr;

    fn alternates(implementation: Implementation) {
        let _open = crate::support::descriptors::unchanged();
        let ip = Ipv6Addr::LOCALHOST.into();
        run(implementation, "options::dual_stack", ip, async |case| {
            case.says(&["one port: yes", "alternate: yes"]).await;
        });
    }

    #[test]
    fn own() {
        alternates(Implementation::Own);
    }

    #[test]
    fn wasmtime() {
        alternates(Implementation::Wasmtime);
    }
}
