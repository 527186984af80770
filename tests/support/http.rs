//! A client of HTTP/1.1 that sends what it is told, also what no proper one would.

use super::DEADLINE;
use super::process::Evconn;
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::path::Path;

/// What a server answers.
#[derive(Debug)]
pub struct Response {
    pub status: u16,
    head: String,
    pub body: String,
}

impl Response {
    fn parse(text: &str) -> Self {
        let (head, body) = text.split_once("\r\n\r\n").expect("a head");
        let status = head
            .split(' ')
            .nth(1)
            .and_then(|status| status.parse().ok());
        Self {
            status: status.unwrap_or_else(|| panic!("no status in {head:?}")),
            head: head.to_owned(),
            body: body.to_owned(),
        }
    }

    /// The value of a header, if it is there.
    pub fn header(&self, name: &str) -> Option<&str> {
        let fields = self.head.lines().filter_map(|line| line.split_once(": "));
        let mut found = fields.filter(|(field, _)| field.eq_ignore_ascii_case(name));
        found.next().map(|(_, value)| value)
    }

    /// Its body as JSON.
    pub fn json(&self) -> serde_json::Value {
        serde_json::from_str(&self.body).unwrap_or_else(|error| panic!("{error}: {}", self.body))
    }

    /// Checks its status. Returns its body.
    pub fn is(&self, status: u16) -> &str {
        assert_eq!(self.status, status, "{self:?}");
        &self.body
    }
}

/// Sends a request, and reads until the server closes the connection.
pub fn exchange(mut stream: impl Read + Write, request: &[u8]) -> Response {
    stream.write_all(request).expect("sent");
    response(stream)
}

/// Reads a response, until the server closes the connection.
pub fn response(mut stream: impl Read) -> Response {
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("received");
    Response::parse(&text)
}

/// A request with these headers, such as `"host: localhost\r\n"`.
pub fn with_headers(method: &str, path: &str, headers: &str, body: &str) -> Vec<u8> {
    let length = body.len();
    format!("{method} {path} HTTP/1.1\r\ncontent-length: {length}\r\n{headers}\r\n{body}")
        .into_bytes()
}

/// The admin endpoint of a server.
#[derive(Clone, Copy)]
pub struct Admin(pub SocketAddr);

impl Admin {
    /// Waits until it is there.
    pub fn of(evconn: &Evconn) -> Self {
        Self(name_of(evconn).parse().expect("an address"))
    }

    pub fn connect(self) -> TcpStream {
        let stream = TcpStream::connect_timeout(&self.0, DEADLINE).expect("connected");
        stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
        stream
    }

    pub fn get(self, path: &str) -> Response {
        self.request("GET", path, "")
    }

    pub fn post(self, path: &str, body: &str) -> Response {
        self.request("POST", path, body)
    }

    pub fn request(self, method: &str, path: &str, body: &str) -> Response {
        self.request_with(method, path, "host: localhost\r\n", body)
    }

    pub fn request_with(self, method: &str, path: &str, headers: &str, body: &str) -> Response {
        exchange(self.connect(), &with_headers(method, path, headers, body))
    }
}

/// What the log says that the admin endpoint listens on.
pub fn name_of(evconn: &Evconn) -> String {
    const BEFORE: &str = "admin endpoint listening address=";
    // The end of the line is there once a later one is.
    let log = evconn.logged(BEFORE);
    let (_, after) = log.split_once(BEFORE).expect("it was waited for");
    after.lines().next().expect("a line").to_owned()
}

/// Sends a request to a Unix socket.
pub fn over_unix(path: &Path, request: &[u8]) -> Response {
    let stream = UnixStream::connect(path).expect("connected");
    stream.set_read_timeout(Some(DEADLINE)).expect("a timeout");
    exchange(stream, request)
}
