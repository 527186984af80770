//! A program that calls the listener wrongly: in the wrong order, or with wrong values.
//!
//! Its first argument says how. It reports on stdout what came of each call, one a line, and
//! `tests/misuse.rs` knows what that has to be. What ends in a trap is in `traps.rs`.

mod addresses;
mod calls;
mod net;
mod options;
mod report;
mod sockets;
mod traps;

mod bindings {
    wit_bindgen::generate!({
        path: "../../../wit",
        world: "evconn:tcp/command",
        generate_all,
        pub_export_macro: true,
    });
}

use bindings::exports::wasi::cli::run::Guest;
use bindings::wasi::cli::environment::get_arguments;

struct Misuse;

impl Guest for Misuse {
    fn run() -> Result<(), ()> {
        let arguments = get_arguments();
        let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
        match arguments[..] {
            ["calls", state] => calls::in_state(state),
            ["options"] => options::all(),
            ["addresses"] => addresses::all(),
            ["from-sockets"] => sockets::all(),
            ["serve", address] => net::serve_one(address),
            ["trap", which] => return traps::spring(which),
            _ => return Err(()),
        }
        Ok(())
    }
}

bindings::export!(Misuse with_types_in bindings);
