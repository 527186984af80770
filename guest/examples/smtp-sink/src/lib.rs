//! A mail server that accepts all messages and stores none, for tests of programs that send mail. It prints a
//! line for each message.

mod session;

wit_bindgen::generate!({
    path: "../../../wit",
    world: "evconn:tcp/service",
    generate_all,
    // The streams of the `wasi` crate implement `Read` and `Write`.
    with: {
        "wasi:io/error@0.2.12": ::wasi::io::error,
        "wasi:io/poll@0.2.12": ::wasi::io::poll,
        "wasi:io/streams@0.2.12": ::wasi::io::streams,
    },
});

use ::wasi::cli::stdout::get_stdout;
use ::wasi::io::streams::{InputStream, OutputStream};
use evconn::tcp::connection::Connection;
use session::Session;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};

/// The maximum length of a line, including its end: that of RFC 5321, and a dot before the line.
const MAX_LINE: u64 = 1001;

struct SmtpSink;

impl exports::evconn::tcp::handler::Guest for SmtpSink {
    fn handle(Connection { input, output, .. }: Connection) -> Result<(), String> {
        let output = BufWriter::new(output);
        let peer = BufReader::new(Peer { input, output });
        serve(peer).map_err(|error| error.to_string())
    }
}

/// Flushes the output before each read, so that the answers to commands that arrive together are sent together.
struct Peer {
    input: InputStream,
    output: BufWriter<OutputStream>,
}

impl Read for Peer {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.output.flush()?;
        Read::read(&mut self.input, buffer)
    }
}

/// Runs a session. If a line is invalid, sends the reason before the end.
fn serve(mut peer: BufReader<Peer>) -> io::Result<()> {
    say(&mut peer, "220 localhost ESMTP, where nothing is kept")?;
    match hold_session(&mut peer) {
        Err(error) if error.kind() == ErrorKind::InvalidData => {
            say(&mut peer, &format!("500 {error}"))?;
        }
        outcome => outcome?,
    }
    peer.get_mut().output.flush()
}

fn hold_session(peer: &mut BufReader<Peer>) -> io::Result<()> {
    let mut session = Session::default();
    while let Some(line) = read_line(peer)? {
        let reply = session.command(String::from_utf8_lossy(&line).trim_end());
        say(peer, &reply)?;
        // The code of the reply determines the next step, as it does for the client.
        match &reply[..3] {
            "221" => break,
            "354" => {
                let size = read_message(peer)?;
                let reply = match session.message(size) {
                    Ok(mail) => {
                        writeln!(get_stdout(), "{mail}")?;
                        format!("250 got {size} bytes")
                    }
                    Err(reply) => reply.to_owned(),
                };
                say(peer, &reply)?;
            }
            _ => {}
        }
    }
    Ok(())
}

fn say(peer: &mut BufReader<Peer>, reply: &str) -> io::Result<()> {
    write!(peer.get_mut().output, "{reply}\r\n")
}

/// Reads a line, and returns it with its end. Returns None at the end of the input, even within a line.
fn read_line(peer: &mut BufReader<Peer>) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let count = peer.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if line.ends_with(b"\n") {
        Ok(Some(line))
    } else if count as u64 == MAX_LINE {
        let text = "the line is too long";
        Err(io::Error::new(ErrorKind::InvalidData, text))
    } else {
        Ok(None)
    }
}

/// Reads a message up to the dot that ends it. Returns its size, without the dots that the client has stuffed.
fn read_message(peer: &mut BufReader<Peer>) -> io::Result<u64> {
    let mut size = 0;
    // Only a dot after CR LF ends the message: accepting one after LF alone allows message smuggling.
    let mut begins = true;
    while let Some(line) = read_line(peer)? {
        if begins && line == b".\r\n" {
            return Ok(size);
        }
        let is_stuffed = begins && line.starts_with(b".");
        size += line.len() as u64 - u64::from(is_stuffed);
        begins = line.ends_with(b"\r\n");
    }
    Err(io::Error::new(
        ErrorKind::UnexpectedEof,
        "the message has no end",
    ))
}

export!(SmtpSink);
