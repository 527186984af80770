//! `fcntl` for sockets, which tokio's `TcpListener::accept` calls.
//!
//! wasi-libc has it from wasi-sdk 31 on. Rust's target wasm32-wasip2 comes with that of wasi-sdk 30 (in Rust 1.95), whose
//! `fcntl` fails with EINVAL for a socket; this one is linked in its place.

use libc::{EINVAL, F_SETFL, FIONBIO, O_NONBLOCK, c_int};

/// Sets a socket to be non-blocking or blocking, and does nothing else.
///
/// # Safety
/// As with the function of C. In WebAssembly, C passes variable arguments as a pointer to them.
#[unsafe(no_mangle)]
unsafe extern "C" fn fcntl(descriptor: c_int, command: c_int, arguments: *const c_int) -> c_int {
    if command != F_SETFL {
        // SAFETY: it returns a valid pointer.
        unsafe { *libc::__errno_location() = EINVAL };
        return -1;
    }
    // SAFETY: this command has one argument.
    let flags = unsafe { *arguments };
    let mut on = c_int::from(flags & O_NONBLOCK != 0);
    // SAFETY: this request takes a pointer to an integer.
    unsafe { libc::ioctl(descriptor, FIONBIO, &mut on) }
}
