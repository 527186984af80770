//! The command `evconn`: parse, and do it.

#[cfg(feature = "mimalloc")]
mod allocator;
mod cli;
mod machine;

use std::process::ExitCode;

#[cfg(feature = "mimalloc")]
#[global_allocator]
static ALLOCATOR: allocator::Allocator = allocator::Allocator;

fn main() -> ExitCode {
    // SAFETY: the command has opened nothing yet, and whatever it opens later is close-on-exec.
    #[allow(unsafe_code, reason = "sockets are inherited as numbers")]
    unsafe {
        evconn::claim_inherited_descriptors();
    }
    cli::run(cli::parse())
}
