//! What is logged by a test whose runtime has one thread, so that the log is its alone.

use std::io::Write;
use std::sync::{Arc, Mutex};
use tracing::subscriber::DefaultGuard;

#[derive(Clone, Default)]
struct Buffer(Arc<Mutex<Vec<u8>>>);

impl Write for Buffer {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().expect("no panic").extend(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The log of this thread, from here on.
pub struct Log {
    buffer: Buffer,
    _guard: DefaultGuard,
}

impl Log {
    pub fn start() -> Self {
        Self::from(tracing::Level::INFO)
    }

    /// The same, with what is logged for debugging.
    pub fn with_details() -> Self {
        Self::from(tracing::Level::DEBUG)
    }

    fn from(level: tracing::Level) -> Self {
        let buffer = Buffer::default();
        let writer = buffer.clone();
        let subscriber = tracing_subscriber::fmt()
            .with_writer(move || writer.clone())
            .with_ansi(false)
            .with_max_level(level)
            .finish();
        Self {
            buffer,
            _guard: tracing::subscriber::set_default(subscriber),
        }
    }

    pub fn text(&self) -> String {
        let bytes = self.buffer.0.lock().expect("no panic").clone();
        String::from_utf8(bytes).expect("text")
    }

    pub fn lines(&self) -> Vec<String> {
        self.text().lines().map(str::to_owned).collect()
    }
}
