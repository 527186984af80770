//! What is logged by a test whose runtime has one thread, so that the log is its alone.

use std::io::Write;
use std::sync::{Arc, LazyLock, Mutex};
use tracing::level_filters::LevelFilter;
use tracing::span::{Attributes, Id, Record};
use tracing::subscriber::{DefaultGuard, Interest};
use tracing::{Dispatch, Event, Metadata, Subscriber};

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
        static DEAF: LazyLock<Dispatch> = LazyLock::new(|| Dispatch::new(Deaf));
        LazyLock::force(&DEAF);
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

/// Takes nothing, but for as long as it exists every place that logs asks each time who takes it. Without it, a test that
/// ends while another one begins may leave behind that nobody does.
struct Deaf;

impl Subscriber for Deaf {
    fn register_callsite(&self, _: &'static Metadata<'static>) -> Interest {
        Interest::sometimes()
    }

    fn max_level_hint(&self) -> Option<LevelFilter> {
        Some(LevelFilter::TRACE)
    }

    fn enabled(&self, _: &Metadata<'_>) -> bool {
        false
    }

    fn new_span(&self, _: &Attributes<'_>) -> Id {
        Id::from_u64(1)
    }

    fn record(&self, _: &Id, _: &Record<'_>) {}

    fn record_follows_from(&self, _: &Id, _: &Id) {}

    fn event(&self, _: &Event<'_>) {}

    fn enter(&self, _: &Id) {}

    fn exit(&self, _: &Id) {}
}
