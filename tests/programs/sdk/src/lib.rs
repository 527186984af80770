//! Programs over the guest library, one for each case of its tests: `tests/sdk/` knows what has to
//! come of them.
//!
//! The first argument is the case, the second one a loopback address.

mod buffered;
mod closing;
mod connection;
mod files;
mod libevent;
mod listener;
mod report;
mod timers;
mod watch;

use std::net::IpAddr;

/// Find the function of that name.
macro_rules! cases {
    ($name:expr; $($theme:ident: $($case:ident)*;)*) => {
        match $name {
            $($(stringify!($case) => $theme::$case as fn(IpAddr),)*)*
            other => return Err(format!("there is no case {other:?}")),
        }
    };
}

fn main(arguments: Vec<String>) -> Result<(), String> {
    let [case, ip] = &arguments[..] else {
        return Err("it takes two arguments: a case and an IP address".to_owned());
    };
    let ip: IpAddr = ip.parse().map_err(|_| format!("{ip:?} is no address"))?;
    let case = cases!(&**case;
        libevent: randport error error_unlock close_accepted_fd immediate_close enable_when_enabled
            both_of_two_clients_are_served accept_one_and_disable three_accepts armed_by_set_callback;
        listener: dropped_in_its_callback closed_in_its_error_callback dropped_in_its_error_callback
            another_callback_for_the_next_peer paused_in_its_callback disabled_and_enabled_in_its_callback
            another_one_made_and_dropped_in_a_callback broken_in_a_callback exit_in_a_callback
            nested_loop at_most_two_connections taken_apart_and_put_together resources_run_out dual_stack
            addresses_that_cannot_be_bound options;
        timers: in_order cancelled repeated in_no_time exit_after nothing_left one_turn;
        buffered: echo low_watermark high_watermark back_pressure read_timeout write_timeout
            timed_out_again broken_in_its_write_callback
            connects connect_is_refused finished_side large_answer aborted
            closed_in_its_read_callback closed_by_another_one callbacks_replaced input_looked_at
            without_an_event_callback reset_by_the_peer base_dropped;
        closing: peers_that_never_read given_up full refused_upload endless_upload;
        connection: would_block blocking outgoing socket_options dropped_with_output panics
            traps_with_it_open fails_with_it_open succeeds_with_it_open;
        watch: watched_echo disabled_in_its_closure both_directions timed_out
            connection_dropped_in_its_closure handle_dropped one_call_of_two given_a_buffer
            watched_base_dropped many_writers peer_gone;
        files: granted_directories;
    );
    case(ip);
    Ok(())
}

evconn_guest::command!(main);
