//! What `wasi:sockets` 0.3 specifies for TCP, and how two implementations behave: wasmtime-wasi's and the
//! host's own. The same as for 0.2, with the program `tests/programs/async-sockets`.

mod addresses;
mod bind;
mod connect;
mod granted;
mod listen;
mod options;
mod states;
mod streams;
mod virtual_sockets;

/// A test for each case, over each family. Those `offline` have a process without a network.
macro_rules! tests {
    ($($theme:ident { both $both:tt ipv4 $ipv4:tt offline $offline:tt })*) => {
        tests!(@of wasmtime Wasmtime: $($theme { $both $ipv4 $offline })*);
        tests!(@of own Own: $($theme { $both $ipv4 $offline })*);
    };
    (@of $module:ident $implementation:ident: $($theme:ident {
        [$($both:ident),* $(,)?] [$($ipv4:ident),* $(,)?] [$($offline:ident),* $(,)?]
    })*) => {
        mod $module {
            use crate::sockets::linked::Implementation::$implementation as IMPLEMENTATION;

            $(mod $theme {
                mod ipv4 {
                    const IP: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
                    $(tests!(@test $theme $both);)*
                    $(tests!(@test $theme $ipv4);)*
                    $(tests!(@offline $theme $offline);)*
                }
                mod ipv6 {
                    const IP: std::net::IpAddr = std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
                    $(tests!(@test $theme $both);)*
                    $(tests!(@offline $theme $offline);)*
                }
            })*
        }
    };
    (@test $theme:ident $name:ident) => {
        #[test]
        fn $name() {
            let _open = crate::support::descriptors::unchanged();
            let name = concat!(stringify!($theme), "::", stringify!($name));
            let body = crate::sockets::v0_3::$theme::$name;
            crate::sockets::case::run_async(super::super::IMPLEMENTATION, name, IP, body);
        }
    };
    (@offline $theme:ident $name:ident) => {
        #[test]
        fn $name() {
            let _open = crate::support::descriptors::unchanged();
            let path = concat!(module_path!(), "::", stringify!($name));
            let name = concat!(stringify!($theme), "::", stringify!($name));
            let body = crate::sockets::v0_3::$theme::$name;
            crate::support::alone::offline(path, || {
                crate::sockets::case::run_async_anyway(super::super::IMPLEMENTATION, name, IP, body);
            });
        }
    };
}

tests! {
    addresses {
        both [of_both_ends, after_a_reset, of_the_host]
        ipv4 []
        offline []
    }
    bind {
        both [
            a_port_is_chosen,
            bound_but_not_listening,
            port_in_time_wait,
            both_families,
            any_address,
            port_in_use,
            refused_addresses,
            of_another_machine,
            twice,
            again_after_failure,
            denied,
        ]
        ipv4 []
        offline []
    }
    connect {
        both [
            live,
            refused,
            refused_addresses,
            after_refused_addresses,
            bound_first,
            bound_to_a_used_port,
            after_failure,
            when_connected,
            denied,
            pending,
        ]
        ipv4 []
        offline [unreachable]
    }
    listen {
        both [
            unbound,
            twice,
            port_taken,
            backlog,
            denied,
            many_peers,
            peer_gone,
            stream_dropped,
            socket_dropped,
            both_dropped,
            nobody_takes_it,
            a_wait_that_ends,
            a_read_that_is_cancelled,
        ]
        ipv4 [denied_peers]
        offline []
    }
    options {
        both [
            defaults,
            zero,
            read_back,
            clamped,
            inherited,
            set_while_listening,
            not_shared,
        ]
        ipv4 []
        offline []
    }
    states {
        both [unbound, bound, listening, connected, closed]
        ipv4 []
        offline []
    }
    streams {
        both [
            echo,
            peer_ends,
            peer_ends_at_once,
            output_dropped,
            input_dropped,
            input_dropped_unread,
            socket_dropped,
            all_dropped,
            never_taken,
            unread_input,
            back_pressure,
            reset_while_reading,
            reset_while_waiting,
            reset_while_writing,
            taken_twice,
            reads_of_nothing,
            writes_of_nothing,
            a_read_that_is_cancelled,
            a_write_that_is_cancelled,
            many_writes,
            many_connections,
            urgent_data,
            left_open,
            trap,
        ]
        ipv4 []
        offline []
    }
}
