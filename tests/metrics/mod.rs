//! What is measured, and how it is rendered.

mod document;
mod formats;
#[cfg(unix)]
mod quota;
mod served;

use crate::server::Running;
use crate::support::{DEADLINE, TEST_GUEST, host};
use evconn::{Metrics, Server, ServerBuilder, Service};

/// Serves the test guest on a free port.
async fn start(configure: impl FnOnce(ServerBuilder) -> ServerBuilder) -> Running {
    let service = Service::new(host(), TEST_GUEST).expect("a service");
    let builder = Server::builder(&service).listen("127.0.0.1:0".parse().expect("a source"));
    Running::run(configure(builder), |shutdown| shutdown.grace(DEADLINE)).await
}

/// Returns the value of a sample: its name and its labels, as they are written.
fn value(metrics: &Metrics, sample: &str) -> f64 {
    let text = metrics.encode();
    let of_sample = |line: &str| {
        let value = line.strip_prefix(sample)?.strip_prefix(' ')?;
        Some(value.parse().expect("a number"))
    };
    let value = text.lines().find_map(of_sample);
    value.unwrap_or_else(|| panic!("no sample {sample} in:\n{text}"))
}

/// Returns how many connections have ended for this cause.
fn ended(metrics: &Metrics, cause: &str) -> f64 {
    let sample = format!("evconn_connections_ended_total{{cause=\"{cause}\"}}");
    value(metrics, &sample)
}

/// Returns how many connections were refused for this cause.
fn refused(metrics: &Metrics, cause: &str) -> f64 {
    let sample = format!("evconn_connections_refused_total{{cause=\"{cause}\"}}");
    value(metrics, &sample)
}

/// Waits until a sample has this value.
async fn is_soon(metrics: &Metrics, sample: &str, expected: f64) {
    let what = format!("{sample} is {expected}");
    crate::server::eventually(&what, async || value(metrics, sample) == expected).await;
}
