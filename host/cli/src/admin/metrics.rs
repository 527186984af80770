//! The metrics of a server, as OpenMetrics text.

use super::command::{Reply, answer};
use crate::sys::threads;
use evconn::Metrics;

/// Renders metrics on another thread: it reads files of all processes of the server.
pub fn scrape(metrics: Metrics, reply: Reply<String>) {
    tokio::spawn(async move {
        match threads::run(move || metrics.encode()).await {
            Ok(text) => answer(reply, text),
            // Whoever has asked notices that there is no answer.
            Err(error) => tracing::warn!("cannot render the metrics: {error}"),
        }
    });
}
