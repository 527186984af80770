//! An HTTP/1.1 server: a service of WASI 0.3 that says which path was asked for, on connections that stay open. The
//! parser is the crate `httparse`, which leaves reading and writing to its caller.

use evconn_guest::p3::Connection;
use futures::{AsyncBufReadExt, AsyncWriteExt};
use httparse::{EMPTY_HEADER, Request, Status};
use std::io;

/// The longest head of a request, and the most header fields in it.
const LONGEST: usize = 16 << 10;
const MOST_FIELDS: usize = 64;

async fn serve(mut connection: Connection) -> io::Result<()> {
    while let Some(head) = head(&mut connection).await? {
        let answer = answer(&head);
        connection.write_all(answer.text.as_bytes()).await?;
        if answer.is_last {
            break;
        }
    }
    connection.close().await
}

/// Reads the head of the next request, up to its empty line; none after the last one.
async fn head(connection: &mut Connection) -> io::Result<Option<Vec<u8>>> {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let bytes = connection.fill_buf().await?;
        if bytes.is_empty() {
            return match head.is_empty() {
                true => Ok(None),
                false => Err(io::ErrorKind::UnexpectedEof.into()),
            };
        }
        let line = bytes.iter().position(|byte| *byte == b'\n');
        let count = line.map_or(bytes.len(), |end| end + 1);
        head.extend_from_slice(&bytes[..count]);
        connection.consume_unpin(count);
        if head.len() > LONGEST {
            return Err(io::Error::other("a request is too long"));
        }
    }
    Ok(Some(head))
}

struct Answer {
    text: String,
    /// Whether the connection ends with it.
    is_last: bool,
}

fn answer(head: &[u8]) -> Answer {
    let mut fields = [EMPTY_HEADER; MOST_FIELDS];
    let mut request = Request::new(&mut fields);
    match request.parse(head) {
        Ok(Status::Complete(_)) => {}
        _ => return refusal("400 Bad Request"),
    }
    let has = |name: &str, value: &str| {
        let is_it = |field: &&httparse::Header<'_>| field.name.eq_ignore_ascii_case(name);
        let found = request.headers.iter().find(is_it);
        found.is_some_and(|field| field.value.eq_ignore_ascii_case(value.as_bytes()))
    };
    if request.method != Some("GET") {
        return refusal("405 Method Not Allowed");
    }
    // Of HTTP/1.0, connections end unless they are said to stay.
    let is_last = match request.version {
        Some(0) => !has("connection", "keep-alive"),
        _ => has("connection", "close"),
    };
    let body = format!("You have asked for {}\n", request.path.unwrap_or("/"));
    Answer {
        text: text("200 OK", &body, is_last),
        is_last,
    }
}

fn refusal(status: &str) -> Answer {
    Answer {
        text: text(status, &format!("{status}\n"), true),
        is_last: true,
    }
}

fn text(status: &str, body: &str, is_last: bool) -> String {
    let connection = if is_last { "close" } else { "keep-alive" };
    format!(
        "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nContent-Length: {}\r\nConnection: {connection}\r\n\r\n{body}",
        body.len()
    )
}

evconn_guest::p3_service!(serve);
