//! Standard output and error, on either target: the standard library of `wasm32-unknown-unknown` has
//! none.

use std::fmt;
use std::io::Write;

/// As the standard library's `println!`, on `wasm32-unknown-unknown` too. A reader that is gone is no
/// reason to panic.
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
    let _ = wasi::cli::stdout::get_stdout().write_all(format!("{line}\n").as_bytes());
}

#[doc(hidden)]
pub fn err(line: fmt::Arguments<'_>) {
    let _ = wasi::cli::stderr::get_stderr().write_all(format!("{line}\n").as_bytes());
}

/// Have panics say on standard error what was wrong. Where the standard library has one, it does.
pub(crate) fn report_panics() {
    #[cfg(all(target_family = "wasm", target_os = "unknown"))]
    std::panic::set_hook(Box::new(|panic| err(format_args!("{panic}"))));
}
