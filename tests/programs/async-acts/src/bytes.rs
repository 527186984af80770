//! Reading and writing.

use super::wit_stream;
use crate::wasi::cli::stdout;
use wit_bindgen::{StreamReader, StreamResult, StreamWriter};

/// How much is received at a time.
const AT_A_TIME: usize = 16 << 10;

/// Reads a line, and nothing of what follows.
pub async fn line(received: &mut StreamReader<u8>) -> String {
    let mut line = Vec::new();
    while let Some(byte) = received.next().await
        && byte != b'\n'
    {
        line.push(byte);
    }
    String::from_utf8_lossy(&line).into_owned()
}

/// Sends all that is received.
pub async fn copy(mut received: StreamReader<u8>, mut sender: StreamWriter<u8>) {
    let mut buffer = Vec::with_capacity(AT_A_TIME);
    while let (StreamResult::Complete(_), bytes) = received.read(buffer).await {
        buffer = sender.write_all(bytes).await;
        if !buffer.is_empty() {
            return;
        }
    }
}

/// Reads to the end. Returns how many bytes there were.
pub async fn count(received: &mut StreamReader<u8>) -> usize {
    let mut count = 0;
    let mut buffer = Vec::with_capacity(AT_A_TIME);
    while let (StreamResult::Complete(_), bytes) = received.read(buffer).await {
        count += bytes.len();
        buffer = bytes;
        buffer.clear();
    }
    count
}

/// Sends a line.
pub async fn say(sender: &mut StreamWriter<u8>, text: &str) {
    sender.write_all(format!("{text}\n").into_bytes()).await;
}

/// Prints a line.
pub async fn print(text: &str) {
    let (mut writer, reader) = wit_stream::new();
    let printed = stdout::write_via_stream(reader);
    say(&mut writer, text).await;
    drop(writer);
    printed.await.expect("it can be printed");
}

/// Returns the number in an argument.
pub fn number(argument: &str) -> usize {
    argument.parse().expect("a number")
}
