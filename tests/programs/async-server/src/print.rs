//! Printing a line.

use crate::bindings::wasi::cli::{stderr, stdout};
use crate::bindings::wit_stream;

pub async fn print(text: &str) {
    let (mut writer, lines) = wit_stream::new();
    let printed = stdout::write_via_stream(lines);
    writer.write_all(format!("{text}\n").into_bytes()).await;
    drop(writer);
    printed.await.expect("it can be printed");
}

pub async fn print_error(text: &str) {
    let (mut writer, lines) = wit_stream::new();
    let printed = stderr::write_via_stream(lines);
    writer.write_all(format!("{text}\n").into_bytes()).await;
    drop(writer);
    printed.await.expect("it can be printed");
}
