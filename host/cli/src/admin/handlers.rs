//! From a request to its response.

use super::access::Entrance;
use super::command::{Command, Desk, Readiness, Reload, Reset, Unavailable};
use super::connections::Query;
use super::metrics::scraped;
use super::page;
use super::parameters::only;
use super::response::{Response, json, not_allowed, ok, text, unavailable};
use super::routes::{self, Action};
use super::status::Status;
use crate::log::{self, Filter, Record};
use http_body_util::BodyExt;
use hyper::body::{Body, Incoming};
use hyper::http::request::Parts;
use hyper::{Request, StatusCode};
use serde::Serialize;
use std::time::Duration;

/// Maximum length of a body.
const MAX_BODY: u64 = 64 << 10;

/// Up to here, a body that is too long is read and thrown away: whoever sends it then receives the answer.
const MAX_DISCARDED: u64 = 1 << 20;

/// How long a body may take.
const BODY_TIMEOUT: Duration = Duration::from_secs(5);

/// Answers a request.
pub async fn respond(desk: &Desk, entrance: Entrance, request: Request<Incoming>) -> Response {
    let (head, body) = request.into_parts();
    let body = match read(body).await {
        Ok(body) => body,
        Err((status, why)) => return text(status, why),
    };
    let found = routes::find(head.uri.path());
    if let Err(why) = entrance.check(found.map(|(route, _)| route), &head) {
        return text(StatusCode::FORBIDDEN, why);
    }
    let Some((route, number)) = found else {
        return text(StatusCode::NOT_FOUND, "no such page");
    };
    if !route.verb.allows(&head.method) {
        return not_allowed(route.verb.allow());
    }
    let handled = handle(desk, route.action, number, &head, &body).await;
    handled.unwrap_or_else(|refused| match refused {
        Refused::Problem(problem) => text(StatusCode::BAD_REQUEST, problem),
        Refused::Unavailable(Unavailable::Starting) => {
            unavailable(readiness(Readiness::Starting).1)
        }
        Refused::Unavailable(Unavailable::Ending) => unavailable(readiness(Readiness::Ending).1),
    })
}

/// Why a request is not carried out.
enum Refused {
    /// What is wrong with it.
    Problem(String),
    Unavailable(Unavailable),
}

impl From<String> for Refused {
    fn from(problem: String) -> Self {
        Self::Problem(problem)
    }
}

impl From<Unavailable> for Refused {
    fn from(unavailable: Unavailable) -> Self {
        Self::Unavailable(unavailable)
    }
}

async fn handle(
    desk: &Desk,
    action: Action,
    number: u64,
    head: &Parts,
    body: &[u8],
) -> Result<Response, Refused> {
    let query = head.uri.query().unwrap_or_default();
    Ok(match action {
        Action::Page => page::response(),
        Action::Metrics => scraped(desk.ask(Command::Metrics).await?, head).await,
        Action::Health => ok("ok"),
        Action::Readiness => {
            let (status, line) = readiness(desk.readiness());
            text(status, line)
        }
        Action::Status => json(&status(desk).await?),
        Action::Connections => {
            let query = Query::parse(query)?;
            json(&desk.ask(|reply| Command::Connections(query, reply)).await?)
        }
        Action::Log => json(&Log {
            records: log::recent(),
        }),
        Action::Reset => reset(desk, number, query).await?,
        Action::Drain => drain(desk, query).await?,
        Action::Reload => of_reload(&desk.ask(Command::Reload).await?),
        Action::LogLevel => {
            let filter = filter(body)?;
            of_missing(&desk.ask(|reply| Command::SetLog(filter, reply)).await?)
        }
    })
}

/// The last warnings and errors.
#[derive(Serialize)]
struct Log {
    records: Vec<Record>,
}

/// A server that starts has no services yet.
async fn status(desk: &Desk) -> Result<Status, Unavailable> {
    let readiness = desk.readiness();
    let services = match readiness {
        Readiness::Starting => Vec::new(),
        _ => desk.ask(Command::Status).await?,
    };
    Ok(Status::new(readiness, desk.since.elapsed(), services))
}

async fn reset(desk: &Desk, number: u64, query: &str) -> Result<Response, Refused> {
    let worker = only(query, "worker")?.map(|worker| {
        let number = worker.parse().ok();
        number.ok_or_else(|| format!("worker={worker}: expected the number of a worker"))
    });
    let worker = worker.transpose()?;
    let reset = desk.ask(|reply| Command::Reset {
        number,
        worker,
        reply,
    });
    Ok(of_reset(number, &reset.await?))
}

async fn drain(desk: &Desk, query: &str) -> Result<Response, Refused> {
    let service = only(query, "service")?.map(str::to_owned);
    let asked = service.clone();
    let is_known = desk.ask(|reply| Command::Drain(asked, reply)).await?;
    Ok(match (is_known, service) {
        (true, None) => ok("draining"),
        (true, Some(name)) => ok(format_args!("draining {name}")),
        (false, name) => text(
            StatusCode::NOT_FOUND,
            format_args!("no service has the name {:?}", name.unwrap_or_default()),
        ),
    })
}

fn readiness(readiness: Readiness) -> (StatusCode, &'static str) {
    let not_ready = StatusCode::SERVICE_UNAVAILABLE;
    match readiness {
        Readiness::Ready => (StatusCode::OK, "ready"),
        Readiness::Starting => (not_ready, "the server is starting"),
        Readiness::NoWorker => (not_ready, "no worker accepts connections"),
        Readiness::Ending => (not_ready, "the server is ending"),
    }
}

fn of_reset(number: u64, reset: &Reset) -> Response {
    match reset {
        Reset::Done => ok(format_args!("connection {number} is reset")),
        Reset::Unknown => text(
            StatusCode::NOT_FOUND,
            format_args!("no open connection has the number {number}"),
        ),
        Reset::Ambiguous => text(
            StatusCode::BAD_REQUEST,
            format_args!(
                "several services may have a connection {number}: add ?worker=N, the worker that /connections has for it"
            ),
        ),
        Reset::Missing(workers) => text(
            StatusCode::GATEWAY_TIMEOUT,
            format_args!("connection {number} was not found: {}", silent(workers)),
        ),
    }
}

fn of_reload(Reload { done, problems, .. }: &Reload) -> Response {
    match (problems.as_slice(), done.as_slice()) {
        ([], []) => ok("there is nothing to reload"),
        ([], done) => ok(done.join("; ")),
        (problems, _) => text(StatusCode::INTERNAL_SERVER_ERROR, problems.join("; ")),
    }
}

fn of_missing(workers: &[u64]) -> Response {
    match workers {
        [] => ok("the log level is set"),
        workers => text(
            StatusCode::GATEWAY_TIMEOUT,
            format_args!("the log level is not set everywhere: {}", silent(workers)),
        ),
    }
}

fn silent(workers: &[u64]) -> String {
    let numbers: Vec<_> = workers.iter().map(u64::to_string).collect();
    format!("no answer from worker {}", numbers.join(", "))
}

fn filter(body: &[u8]) -> Result<Filter, String> {
    let text = std::str::from_utf8(body).map_err(|_| "the body is not text".to_owned())?;
    Filter::parse(text.trim())
}

/// Reads a body.
///
/// # Errors
/// The status and the line with which the request is refused.
async fn read(body: Incoming) -> Result<Vec<u8>, (StatusCode, String)> {
    match tokio::time::timeout(BODY_TIMEOUT, read_all(body)).await {
        Ok(body) => body,
        Err(_) => Err((
            StatusCode::REQUEST_TIMEOUT,
            format!("the body takes longer than {BODY_TIMEOUT:?}"),
        )),
    }
}

async fn read_all(mut body: Incoming) -> Result<Vec<u8>, (StatusCode, String)> {
    let mut read = Vec::new();
    // What is announced as far too long is not read at all.
    let mut length = match body.size_hint().lower() > MAX_DISCARDED {
        true => body.size_hint().lower(),
        false => 0,
    };
    while length <= MAX_DISCARDED
        && let Some(frame) = body.frame().await
    {
        let frame = frame.map_err(|error| {
            let line = format!("the body cannot be read: {error}");
            (StatusCode::BAD_REQUEST, line)
        })?;
        let data = frame.into_data().unwrap_or_default();
        length += data.len() as u64;
        if length <= MAX_BODY {
            read.extend_from_slice(&data);
        }
    }
    match length > MAX_BODY {
        true => Err((
            StatusCode::PAYLOAD_TOO_LARGE,
            format!("the body is longer than {MAX_BODY} bytes"),
        )),
        false => Ok(read),
    }
}
