//! Standard output and error, on either target: the standard library of `wasm32-unknown-unknown` has
//! none.

use std::fmt;
use std::io::Write;
use wasi::io::streams::OutputStream;

/// As the standard library's `println!`, on `wasm32-unknown-unknown` too. A reader that is gone is no
/// reason to panic; for one that is slow the whole instance waits.
///
/// ```no_run
/// evconn_guest::println!("listening on {}", 9876);
/// ```
#[macro_export]
macro_rules! println {
    ($($arguments:tt)*) => { $crate::stdio::out(::core::format_args!($($arguments)*)) };
}

/// As the standard library's `eprintln!`, on `wasm32-unknown-unknown` too.
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

/// In one piece, and flushed: what a stream has not passed on when the program ends is lost.
fn write_line(mut stream: OutputStream, line: fmt::Arguments<'_>) {
    let written = stream.write_all(format!("{line}\n").as_bytes());
    let _ = written.and_then(|()| Write::flush(&mut stream));
}

/// Have panics say on standard error what was wrong. Where the standard library has one, it does.
pub(crate) fn report_panics() {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    std::panic::set_hook(Box::new(|panic| err(format_args!("{panic}"))));
}
