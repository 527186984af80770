//! Requests to an admin endpoint: each has a connection of its own, as the endpoint serves them, and a time limit.

use super::address::Address;
use super::model::{Answer, Families, Sort, plain};
use anyhow::{Context, anyhow, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Bytes;
use hyper::client::conn::http1::handshake;
use hyper::header::{ACCEPT, HOST};
use hyper::{Method, Request, StatusCode};
use hyper_util::rt::TokioIo;
use serde::de::DeserializeOwned;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
#[cfg(unix)]
use tokio::net::UnixStream;
use tokio::time::timeout;

/// How long an answer may take. The endpoint waits a second for its workers.
const READ_TIMEOUT: Duration = Duration::from_secs(5);

/// How long a change may take: a reload compiles a component.
const CHANGE_TIMEOUT: Duration = Duration::from_secs(600);

/// Maximum length of an answer.
const MAX_ANSWER: usize = 64 << 20;

/// What answers may be in. Where there is a choice, OpenMetrics is what is parsed.
const FORMATS: &str = "application/openmetrics-text, application/json, text/plain";

/// How many connections are asked for.
const CONNECTIONS: usize = 1000;

/// What is done to a server.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Change {
    /// A connection is reset. Each service numbers its own, so that its worker is needed, too.
    Reset {
        number: u64,
        worker: Option<u64>,
    },
    /// The server is drained, or one of its services.
    Drain {
        service: Option<String>,
    },
    Reload,
}

impl Change {
    fn path(&self) -> String {
        match self {
            Self::Reset {
                number,
                worker: None,
            } => format!("/connections/{number}/reset"),
            Self::Reset {
                number,
                worker: Some(worker),
            } => {
                format!("/connections/{number}/reset?worker={worker}")
            }
            Self::Drain { service: None } => "/drain".to_owned(),
            // A name has no character that is special in a URL.
            Self::Drain {
                service: Some(name),
            } => format!("/drain?service={name}"),
            Self::Reload => "/reload".to_owned(),
        }
    }
}

#[derive(Clone)]
pub struct Client {
    address: Address,
}

impl Client {
    pub fn new(address: Address) -> Self {
        Self { address }
    }

    /// Asks for everything that is shown.
    ///
    /// # Errors
    /// If the server does not answer, refuses, or is no admin endpoint: one line without the address.
    pub async fn read(&self, sort: Sort) -> anyhow::Result<Answer> {
        let status = self.json("/status").await?;
        let answer = Answer {
            status,
            ..Answer::default()
        };
        if &*answer.status.state == "starting" {
            return Ok(answer);
        }
        let path = format!("/connections?limit={CONNECTIONS}&sort={}", sort.name());
        let (metrics, log, connections) =
            tokio::try_join!(self.get("/metrics"), self.json("/log"), self.json(&path))?;
        let families = Some(Families::parse(&metrics));
        Ok(Answer {
            families,
            log,
            connections,
            ..answer
        })
    }

    async fn json<T: DeserializeOwned>(&self, path: &str) -> anyhow::Result<T> {
        let text = self.get(path).await?;
        serde_json::from_str(&text).map_err(|error| {
            anyhow!("it is no admin endpoint of this version of evconn: {path}: {error}")
        })
    }

    async fn get(&self, path: &str) -> anyhow::Result<String> {
        let (status, text) = self.within(READ_TIMEOUT, Method::GET, path).await?;
        match status {
            StatusCode::OK => Ok(text),
            // It says what is allowed where.
            StatusCode::FORBIDDEN => bail!("{}", first_line(&text)),
            StatusCode::SERVICE_UNAVAILABLE => bail!("{}", first_line(&text)),
            status => bail!("it answers GET {path} with {status}: is this the address of --admin?"),
        }
    }

    /// Has a change made. Returns whether it was made, and the server's line about it.
    pub async fn change(&self, change: &Change) -> (bool, String) {
        match self
            .within(CHANGE_TIMEOUT, Method::POST, &change.path())
            .await
        {
            Ok((status, text)) => (status.is_success(), first_line(&text)),
            Err(error) => (false, format!("{error:#}")),
        }
    }

    async fn within(
        &self,
        limit: Duration,
        method: Method,
        path: &str,
    ) -> anyhow::Result<(StatusCode, String)> {
        match timeout(limit, self.request(method, path)).await {
            Ok(answer) => answer,
            Err(_) => bail!("no answer within {} seconds", limit.as_secs()),
        }
    }

    async fn request(&self, method: Method, path: &str) -> anyhow::Result<(StatusCode, String)> {
        let stream = connect(&self.address).await.context("cannot connect")?;
        let (mut sender, connection) = handshake(TokioIo::new(stream))
            .await
            .context("cannot send")?;
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header(HOST, self.address.host())
            .header(ACCEPT, FORMATS)
            .body(Full::<Bytes>::default())?;
        let answer = async {
            let response = sender.send_request(request).await;
            let response = response.context("no HTTP answer")?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, MAX_ANSWER).collect().await;
            let body = body.map_err(|error| anyhow!("the answer cannot be read: {error}"))?;
            Ok((
                head.status,
                String::from_utf8_lossy(&body.to_bytes()).into_owned(),
            ))
        };
        let driven = async {
            // What goes wrong with it, the answer tells as well.
            let _ = connection.await;
            std::future::pending().await
        };
        tokio::select! {
            answer = answer => answer,
            never = driven => never,
        }
    }
}

/// Returns the first line of an answer, as a terminal may have it.
fn first_line(text: &str) -> String {
    plain(text.lines().next().unwrap_or_default())
}

trait Stream: AsyncRead + AsyncWrite + Send + Unpin {}
impl<T: AsyncRead + AsyncWrite + Send + Unpin> Stream for T {}

async fn connect(address: &Address) -> io::Result<Box<dyn Stream>> {
    match address {
        Address::Tcp(address) => Ok(Box::new(TcpStream::connect(address).await?)),
        #[cfg(unix)]
        Address::Unix(path) => Ok(Box::new(UnixStream::connect(path).await?)),
        #[cfg(not(unix))]
        Address::Unix(_) => Err(io::Error::new(
            io::ErrorKind::Unsupported,
            "Unix sockets are not supported on this system",
        )),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_says_what_it_is_for() {
        let reset = |worker| Change::Reset { number: 17, worker }.path();
        assert_eq!(reset(None), "/connections/17/reset");
        assert_eq!(reset(Some(3)), "/connections/17/reset?worker=3");
        let drain = |service: Option<&str>| {
            Change::Drain {
                service: service.map(str::to_owned),
            }
            .path()
        };
        assert_eq!(drain(None), "/drain");
        assert_eq!(drain(Some("echo")), "/drain?service=echo");
        assert_eq!(Change::Reload.path(), "/reload");
    }
}
