//! What wasi-sockets specifies for TCP, and how two implementations behave: wasmtime-wasi's and the
//! host's own.
//!
//! The program `tests/sockets-guest` has a function for each case, with the same name as the function
//! here that knows the expected result. Each case is a test of each implementation:
//! `sockets::IMPLEMENTATION::THEME::FAMILY::CASE`. The documents decide what is right. Where
//! wasmtime-wasi differs, the table in `differences.rs` has an entry.

mod addresses;
mod bind;
pub mod case;
mod connect;
mod differences;
mod document;
mod libc;
mod limits;
pub mod linked;
mod listen;
mod options;
mod polling;
mod shutdown;
mod states;
mod streams;
mod traps;
mod v0_3;

/// A test for each case, over each family. Those `alone` have a process of their own,
/// those `offline` one without a network.
macro_rules! tests {
    ($($theme:ident {
        both [$($both:ident),* $(,)?]
        ipv4 [$($ipv4:ident),* $(,)?]
        ipv6 [$($ipv6:ident),* $(,)?]
        alone [$($alone:ident),* $(,)?]
        offline [$($offline:ident),* $(,)?]
    })*) => {
        tests!(@of wasmtime Wasmtime: $($theme { [$($both),*] [$($ipv4),*] [$($ipv6),*] [$($alone),*] [$($offline),*] })*);
        tests!(@of own Own: $($theme { [$($both),*] [$($ipv4),*] [$($ipv6),*] [$($alone),*] [$($offline),*] })*);
    };
    (@of $module:ident $implementation:ident: $($theme:ident {
        [$($both:ident),*] [$($ipv4:ident),*] [$($ipv6:ident),*] [$($alone:ident),*] [$($offline:ident),*]
    })*) => {
        mod $module {
            use super::linked::Implementation::$implementation as IMPLEMENTATION;

            $(mod $theme {
                mod ipv4 {
                    const IP: std::net::IpAddr = std::net::IpAddr::V4(std::net::Ipv4Addr::LOCALHOST);
                    $(tests!(@test $theme $both);)*
                    $(tests!(@test $theme $ipv4);)*
                    $(tests!(@alone alone run $theme $alone);)*
                    $(tests!(@alone offline run_anyway $theme $offline);)*
                }
                mod ipv6 {
                    const IP: std::net::IpAddr = std::net::IpAddr::V6(std::net::Ipv6Addr::LOCALHOST);
                    $(tests!(@test $theme $both);)*
                    $(tests!(@test $theme $ipv6);)*
                    $(tests!(@alone alone run $theme $alone);)*
                    $(tests!(@alone offline run_anyway $theme $offline);)*
                }
            })*
        }
    };
    (@test $theme:ident $name:ident) => {
        #[test]
        fn $name() {
            let _open = crate::support::descriptors::unchanged();
            let name = concat!(stringify!($theme), "::", stringify!($name));
            let body = crate::sockets::$theme::$name;
            crate::sockets::case::run(super::super::IMPLEMENTATION, name, IP, body);
        }
    };
    (@alone $where:ident $run:ident $theme:ident $name:ident) => {
        #[test]
        fn $name() {
            let _open = crate::support::descriptors::unchanged();
            let path = concat!(module_path!(), "::", stringify!($name));
            let name = concat!(stringify!($theme), "::", stringify!($name));
            let body = crate::sockets::$theme::$name;
            crate::support::alone::$where(path, || {
                crate::sockets::case::$run(super::super::IMPLEMENTATION, name, IP, body);
            });
        }
    };
}

tests! {
    addresses {
        both [of_both_ends, after_a_reset, of_the_host]
        ipv4 []
        ipv6 []
        alone []
        offline []
    }
    bind {
        both [
            a_port_is_chosen,
            any_address,
            port_in_use,
            bound_but_not_listening,
            refused_addresses,
            of_another_machine,
            twice,
            again_after_failure,
            port_in_time_wait,
            denied,
        ]
        ipv4 []
        ipv6 [both_families]
        alone []
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
        ipv6 []
        alone []
        offline [unreachable]
    }
    limits {
        both []
        ipv4 []
        ipv6 []
        alone [create, accepting]
        offline []
    }
    listen {
        both [unbound, twice, port_taken, backlog, denied, many_peers, peer_gone]
        ipv4 [denied_peers]
        ipv6 []
        alone []
        offline []
    }
    options {
        both [
            defaults,
            zero,
            read_back,
            shortest,
            largest,
            inherited,
            set_while_listening,
            not_shared,
        ]
        ipv4 []
        ipv6 []
        alone []
        offline []
    }
    polling {
        both [
            one_for_all_states,
            of_a_connect,
            of_a_failed_connect,
            level_triggered,
            twice_in_a_list,
            two_of_one_stream,
            beside_an_always_ready_one,
            beside_an_idle_output,
            beside_an_ended_input,
            busy_beside_quiet,
            spinning,
            many_quiet_ones,
            many_ready_ones,
            woken_by_a_shutdown,
        ]
        ipv4 []
        ipv6 []
        alone []
        offline []
    }
    shutdown {
        both [
            shutdown_send,
            shutdown_receive,
            shutdown_both,
            shutdown_twice,
            shutdown_send_loses_nothing,
            shutdown_send_watched,
            shutdown_send_waited_for,
        ]
        ipv4 []
        ipv6 []
        alone []
        offline []
    }
    states {
        both [
            unbound,
            bind_in_progress,
            bound,
            listen_in_progress,
            listening,
            connect_in_progress,
            bound_connect_in_progress,
            resolved_connect_in_progress,
            failed_connect_in_progress,
            denied_connect_in_progress,
            unbound_after_start_connect,
            bound_after_start_connect,
            connected,
            accepted,
            closed,
            closed_by_denial,
            closed_by_listen,
        ]
        ipv4 []
        ipv6 []
        alone []
        offline []
    }
    streams {
        both [
            peer_ends,
            peer_ends_at_once,
            output_dropped,
            output_dropped_with_unsent,
            input_dropped,
            both_dropped,
            all_dropped,
            back_pressure,
            reset_while_reading,
            reset_while_waiting,
            reset_while_writing,
            nothing_to_read,
            nothing_to_write,
            echo,
            many_writes,
            urgent_data,
            flushed,
        ]
        ipv4 []
        ipv6 []
        alone []
        offline []
    }
    traps {
        both [
            socket_before_input,
            socket_before_output,
            socket_before_pollable,
            listener_before_pollable,
            input_before_pollable,
            output_before_pollable,
            empty_poll,
            write_without_permission,
            write_too_much,
            listener_before_accepted,
        ]
        ipv4 []
        ipv6 []
        alone []
        offline []
    }
}
