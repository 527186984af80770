//! What comes of a process that has no descriptors left.

use crate::bindings::wasi::sockets::tcp_create_socket::create_tcp_socket;
use crate::net::{Run, accept, local};
use crate::report::{line, outcome, wait_for_host};

crate::cases!(create, accepting);

fn create(run: &Run) {
    line("ready", "");
    wait_for_host();
    line("without", outcome(&create_tcp_socket(run.family())));
    line("tried", "");
    wait_for_host();
    line("with", outcome(&create_tcp_socket(run.family())));
}

/// The peer waits in the queue meanwhile, and is not lost.
fn accepting(run: &Run) {
    let listener = run.listening();
    line("listening", local(&listener));
    wait_for_host();
    line("without", outcome(&accept(&listener)));
    line("and again", outcome(&accept(&listener)));
    line("tried", "");
    wait_for_host();
    line("with", outcome(&accept(&listener)));
}
