//! Standard output and standard error on both targets: the standard library of `wasm32-unknown-unknown` has
//! neither.

use std::fmt;
use std::io::Write;
use wasi::io::streams::OutputStream;

/// Prints a line to standard output, like the standard library's `println!`, on `wasm32-unknown-unknown` too.
/// It does not panic if the reader is gone. If the reader is slow, the whole instance waits.
///
/// ```no_run
/// evconn_guest::println!("listening on {}", 9876);
/// ```
#[macro_export]
macro_rules! println {
    ($($arguments:tt)*) => { $crate::stdio::out(::core::format_args!($($arguments)*)) };
}

/// Prints a line to standard error, like the standard library's `eprintln!`, on `wasm32-unknown-unknown` too.
///
/// ```no_run
/// evconn_guest::eprintln!("Couldn't create listener: {}", "the address is in use");
/// ```
#[macro_export]
macro_rules! eprintln {
    ($($arguments:tt)*) => { $crate::stdio::err(::core::format_args!($($arguments)*)) };
}

#[doc(hidden)]
pub fn out(line: fmt::Arguments<'_>) {
    write_line(wasi::cli::stdout::get_stdout(), line);
}

#[doc(hidden)]
pub fn err(line: fmt::Arguments<'_>) {
    write_line(wasi::cli::stderr::get_stderr(), line);
}

/// Writes the line at once, and flushes it: bytes that are in the stream when the program ends are lost.
fn write_line(mut stream: OutputStream, line: fmt::Arguments<'_>) {
    let written = stream.write_all(format!("{line}\n").as_bytes());
    let _ = written.and_then(|()| Write::flush(&mut stream));
}

/// Prints the messages of panics to standard error on `wasm32-unknown-unknown`. On other targets the standard
/// library does.
pub(crate) fn report_panics() {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    std::panic::set_hook(Box::new(|panic| err(format_args!("{panic}"))));
}
