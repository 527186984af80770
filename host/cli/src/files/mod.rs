//! What commands read and write: files, or with `-` their standard streams.

mod input;
mod output;

#[cfg(unix)]
pub use input::read_for_others;
pub use input::{Input, is_stdin};
pub use output::{Output, print};
