//! Responses, with the headers that all of them have.

use http_body_util::Full;
use hyper::StatusCode;
use hyper::body::Bytes;
use hyper::header::{
    ALLOW, CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, VARY,
    X_CONTENT_TYPE_OPTIONS,
};
use serde::Serialize;

pub type Response = hyper::Response<Full<Bytes>>;

const TEXT: &str = "text/plain; charset=utf-8";
const HTML: &str = "text/html; charset=utf-8";
const JSON: &str = "application/json";
const METRICS: &str = "text/plain; version=0.0.4; charset=utf-8";
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

fn with(status: StatusCode, content_type: &'static str, body: impl Into<Bytes>) -> Response {
    let mut response = Response::new(Full::new(body.into()));
    *response.status_mut() = status;
    let headers: [(HeaderName, &'static str); 3] = [
        (CONTENT_TYPE, content_type),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ];
    for (name, value) in headers {
        response
            .headers_mut()
            .insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A line of text.
pub fn text(status: StatusCode, line: impl std::fmt::Display) -> Response {
    with(status, TEXT, format!("{line}\n"))
}

pub fn ok(line: impl std::fmt::Display) -> Response {
    text(StatusCode::OK, line)
}

pub fn metrics(is_open_metrics: bool, text: String) -> Response {
    let content_type = match is_open_metrics {
        true => OPEN_METRICS,
        false => METRICS,
    };
    let mut response = with(StatusCode::OK, content_type, text);
    let vary = HeaderValue::from_static("accept");
    response.headers_mut().insert(VARY, vary);
    response
}

pub fn unavailable(line: impl std::fmt::Display) -> Response {
    text(StatusCode::SERVICE_UNAVAILABLE, line)
}

/// A page, with the policy of what it may load and run.
pub fn html(page: &'static str, policy: &HeaderValue) -> Response {
    let mut response = with(StatusCode::OK, HTML, page);
    response
        .headers_mut()
        .insert(CONTENT_SECURITY_POLICY, policy.clone());
    response
}

pub fn json(value: &impl Serialize) -> Response {
    match serde_json::to_vec(value) {
        Ok(body) => with(StatusCode::OK, JSON, body),
        Err(error) => text(
            StatusCode::INTERNAL_SERVER_ERROR,
            format_args!("cannot write the answer: {error}"),
        ),
    }
}

/// The route has other methods.
pub fn not_allowed(allow: &'static str) -> Response {
    let line = format_args!("this method is not allowed: use {allow}");
    let mut response = text(StatusCode::METHOD_NOT_ALLOWED, line);
    response
        .headers_mut()
        .insert(ALLOW, HeaderValue::from_static(allow));
    response
}
