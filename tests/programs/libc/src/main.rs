//! A program that calls the functions of wasi-libc on a TCP socket: one of them, in one state.
//!
//! Its arguments are a loopback address, the name of a state, and the name of a call. It prints what the
//! call returned; a call of the host's that wasi-libc does not expect to fail aborts the program. Without a
//! state and a call it prints the names of all states, and of all calls.

#![cfg(target_os = "wasi")]

mod calls;
mod socket;
mod states;

use calls::CALLS;
use socket::Run;
use states::STATES;

fn main() {
    // Otherwise it would look as if wasi-libc had aborted the program.
    std::panic::set_hook(Box::new(|panic| {
        println!("{panic}");
        std::process::exit(1);
    }));
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [ip, rest @ ..] = &arguments[..] else {
        panic!("an address is missing");
    };
    let run = Run::new(ip.parse().expect("an address"));
    match rest {
        [state, call] => {
            let lead = find(STATES, state);
            let subject = lead(&run);
            println!("{}", find(CALLS, call)(&run, &subject.socket));
        }
        _ => {
            STATES.iter().for_each(|(name, _)| println!("state {name}"));
            CALLS.iter().for_each(|(name, _)| println!("call {name}"));
        }
    }
}

fn find<T: Copy>(table: &[(&str, T)], name: &str) -> T {
    let found = table.iter().find(|(known, _)| *known == name);
    found.expect("a name of the table").1
}
