//! Metrics as text, in the format that the request prefers.

use super::response::{Response, metrics, unavailable};
use crate::sys::threads;
use evconn::Metrics;
use hyper::header::ACCEPT;
use hyper::http::request::Parts;

/// The media type that has to be asked for: what asks for nothing is a person or a tool of before OpenMetrics.
const OPEN_METRICS: &str = "application/openmetrics-text";
const TEXT: [&str; 3] = ["text/plain", "text/*", "*/*"];

/// Renders metrics on another thread: it reads files of all processes of the server.
pub async fn scraped(all: Metrics, request: &Parts) -> Response {
    let is_open_metrics = prefers_open_metrics(request);
    let rendered = threads::run(move || match is_open_metrics {
        true => all.encode(),
        false => all.encode_text(),
    });
    match rendered.await {
        Ok(text) => metrics(is_open_metrics, text),
        Err(error) => unavailable(format_args!("cannot render the metrics: {error}")),
    }
}

/// Whether a request accepts OpenMetrics, and the older text no more than that.
fn prefers_open_metrics(request: &Parts) -> bool {
    let accepted = request.headers.get_all(ACCEPT).iter();
    let ranges: Vec<_> = accepted
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .map(quality)
        .collect();
    let best = |names: &[&str]| {
        let of = ranges.iter().filter(|(name, _)| names.contains(name));
        of.map(|(_, quality)| *quality).fold(0.0, f32::max)
    };
    let wanted = best(&[OPEN_METRICS]);
    wanted > 0.0 && wanted >= best(&TEXT)
}

/// Returns a media type of a list, and how much it is wanted, from 0 to 1.
fn quality(range: &str) -> (&str, f32) {
    let mut parts = range.split(';').map(str::trim);
    let name = parts.next().unwrap_or_default();
    let given = parts.find_map(|part| part.strip_prefix("q="));
    (
        name,
        given.map_or(1.0, |given| given.parse().unwrap_or(0.0)),
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use hyper::Request;

    #[test]
    fn open_metrics_is_for_those_who_ask_for_it() {
        let prefers = |accept: &str| {
            let request = Request::builder().header(ACCEPT, accept).body(());
            prefers_open_metrics(&request.expect("a request").into_parts().0)
        };
        for accept in [
            "application/openmetrics-text",
            // As Prometheus 2 and 3 send it.
            "application/openmetrics-text;version=1.0.0,application/openmetrics-text;version=0.0.1;q=0.75,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
            "application/openmetrics-text;version=1.0.0;escaping=allow-utf-8;q=0.5, text/plain;version=0.0.4;q=0.2, */*;q=0.1",
        ] {
            assert!(prefers(accept), "{accept}");
        }
        for accept in [
            "*/*",
            "text/html,application/xhtml+xml,*/*;q=0.8",
            "text/plain;version=0.0.4;q=0.6,application/openmetrics-text;q=0.5",
            "application/openmetrics-text;q=0",
            "application/openmetrics-text;q=x",
            "",
        ] {
            assert!(!prefers(accept), "{accept}");
        }
        let nothing = Request::builder().body(()).expect("a request");
        assert!(!prefers_open_metrics(&nothing.into_parts().0));
    }
}
