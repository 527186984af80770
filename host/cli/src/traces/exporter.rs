//! Sends traces to a collector, in one process for all. One that is away, or slow, holds nobody up: what does not fit is
//! lost, and counted.

use super::Batch;
use super::spans::spans;
use anyhow::Context;
use opentelemetry::KeyValue;
use opentelemetry_otlp::{SpanExporter, WithExportConfig};
use opentelemetry_sdk::Resource;
use opentelemetry_sdk::trace::SpanExporter as _;
use std::fmt;
use std::str::FromStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;

/// Maximum number of batches that wait.
const WAITING: usize = 64;

/// Maximum number of connections in a request.
const MOST: usize = 512;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(5);

/// How long the last requests may take, at the end.
const END_TIMEOUT: Duration = Duration::from_secs(2);

/// The URL of a collector.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Endpoint(String);

impl FromStr for Endpoint {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let expected = "expected the URL of a collector, such as http://127.0.0.1:4318";
        if text.starts_with("https://") {
            return Err(
                "TLS is not supported: use a collector on this machine, such as http://127.0.0.1:4318"
                    .to_owned(),
            );
        }
        let url: hyper::Uri = text.parse().map_err(|_| expected.to_owned())?;
        if url.scheme_str() != Some("http") || url.host().is_none_or(str::is_empty) {
            return Err(expected.to_owned());
        }
        Ok(Self(match url.path() {
            "/" => format!("{}/v1/traces", text.trim_end_matches('/')),
            _ => text.to_owned(),
        }))
    }
}

impl fmt::Display for Endpoint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Sends traces from now on.
#[derive(Clone)]
pub struct Exporter {
    batches: mpsc::Sender<Batch>,
    /// How many were lost since the last request.
    lost: Arc<AtomicU64>,
}

/// What has to be waited for at the end.
pub struct Exporting(JoinHandle<()>);

impl Exporter {
    /// Starts it, in a tokio runtime.
    ///
    /// # Errors
    /// If the environment has settings for it that are wrong.
    pub fn start(endpoint: &Endpoint, service: &str) -> anyhow::Result<(Self, Exporting)> {
        let mut exporter = SpanExporter::builder()
            .with_http()
            .with_endpoint(&endpoint.0)
            .with_timeout(TIMEOUT)
            .build()
            .context("cannot export traces")?;
        exporter.set_resource(&resource(service));
        let (batches, waiting) = mpsc::channel(WAITING);
        let lost = Arc::<AtomicU64>::default();
        let task = export(exporter, endpoint.clone(), waiting, Arc::clone(&lost));
        Ok((Self { batches, lost }, Exporting(tokio::spawn(task))))
    }

    /// Sends these traces as soon as those before were sent.
    pub fn export(&self, batch: Batch) {
        self.lost.fetch_add(batch.lost, Ordering::Relaxed);
        let traces = batch.traces.len() as u64;
        if self.batches.try_send(batch).is_err() {
            self.lost.fetch_add(traces, Ordering::Relaxed);
        }
    }
}

impl Exporting {
    /// Waits a while until everything was sent, for which all exporters have to be gone.
    pub async fn end(self) {
        if tokio::time::timeout(END_TIMEOUT, self.0).await.is_err() {
            tracing::warn!("the last traces were not exported within {END_TIMEOUT:?}");
        }
    }
}

/// OTEL_SERVICE_NAME and OTEL_RESOURCE_ATTRIBUTES come first.
fn resource(service: &str) -> Resource {
    let builder = Resource::builder();
    let builder = match std::env::var_os("OTEL_SERVICE_NAME") {
        Some(_) => builder,
        None => builder.with_service_name(service.to_owned()),
    };
    let process = i64::from(std::process::id());
    builder
        .with_attribute(KeyValue::new("process.pid", process))
        .build()
}

async fn export(
    exporter: SpanExporter,
    endpoint: Endpoint,
    mut waiting: mpsc::Receiver<Batch>,
    lost: Arc<AtomicU64>,
) {
    let mut is_away = false;
    while let Some(Batch { traces, .. }) = waiting.recv().await {
        for some in traces.chunks(MOST) {
            let all = some.iter().flat_map(spans).collect();
            match exporter.export(all).await {
                Ok(()) => is_away = false,
                Err(error) => {
                    lost.fetch_add(some.len() as u64, Ordering::Relaxed);
                    // Once, rather than for each request.
                    if !std::mem::replace(&mut is_away, true) {
                        tracing::warn!("traces are lost: {endpoint} does not take them: {error}");
                    }
                }
            }
        }
        if !is_away {
            tell_lost(&lost);
        }
    }
    tell_lost(&lost);
}

fn tell_lost(lost: &AtomicU64) {
    let lost = lost.swap(0, Ordering::Relaxed);
    if lost > 0 {
        let connections = match lost {
            1 => "connection was",
            _ => "connections were",
        };
        tracing::warn!("traces of {lost} {connections} lost");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_url_without_a_path_is_the_base() {
        let parsed = |text: &str| text.parse::<Endpoint>().map(|endpoint| endpoint.0);
        for (text, expected) in [
            ("http://127.0.0.1:4318", "http://127.0.0.1:4318/v1/traces"),
            ("http://otel:4318/", "http://otel:4318/v1/traces"),
            ("http://[::1]:1/a/b", "http://[::1]:1/a/b"),
        ] {
            assert_eq!(parsed(text).as_deref(), Ok(expected));
        }
        for wrong in [
            "127.0.0.1:4318",
            "localhost",
            "grpc://a:1",
            "http://",
            "",
            "https://a",
        ] {
            let problem = parsed(wrong).expect_err(wrong);
            assert!(
                problem.contains("http://127.0.0.1:4318"),
                "{wrong}: {problem}"
            );
        }
    }
}
