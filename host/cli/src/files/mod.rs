//! What commands read and write: files, or with `-` their standard streams.

mod input;
mod output;

pub use input::{Input, is_stdin};
#[cfg(unix)]
pub use input::{contents, read_for_others};
pub use output::{Output, print};
