//! Programs over the guest library, each composed with `listener.wasm` to one component: those of
//! `tests/sdk-guest`, which has a function for each case, and those of `guest/examples`.

mod buffered;
mod chat;
mod closing;
mod connection;
mod examples;
mod libevent;
mod listener;
mod program;
mod timers;
mod watch;

/// Define tests of cases in `tests/sdk-guest`, over IPv4 and IPv6: async functions that take the
/// program, started.
macro_rules! cases {
    ($($name:ident),* $(,)?) => {
        mod ipv4 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let _open = crate::support::descriptors::unchanged();
                    let ip = std::net::Ipv4Addr::LOCALHOST.into();
                    super::$name(super::super::program::case(stringify!($name), ip)).await;
                }
            )*
        }
        mod ipv6 {
            $(
                #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
                async fn $name() {
                    let _open = crate::support::descriptors::unchanged();
                    let ip = std::net::Ipv6Addr::LOCALHOST.into();
                    if crate::support::has_ipv6() {
                        super::$name(super::super::program::case(stringify!($name), ip)).await;
                    }
                }
            )*
        }
    };
}
use cases;
