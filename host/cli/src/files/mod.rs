//! The files that commands read and write, `-` among them.

mod input;
mod output;

pub use input::{Input, is_stdin};
pub use output::{Output, print};
