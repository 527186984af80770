//! What commands read and write: files, or with `-` their standard streams.

mod input;
mod output;

pub use input::{Input, is_stdin};
pub use output::{Output, print};
