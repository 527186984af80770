//! A service with a line protocol: each line is a command, and the answer is a line.

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

use ::wasi::io::streams::{InputStream, OutputStream};
use evconn::tcp::connection::Connection;
use std::io::{self, BufRead, BufReader, BufWriter, ErrorKind, Read, Write};

/// The maximum length of a line, including its end.
const MAX_LINE: u64 = 1024;

const HELP: &str = "ADD number number, COUNT, ECHO text, HELP, QUIT";

struct Line;

impl exports::evconn::tcp::handler::Guest for Line {
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

fn serve(mut peer: BufReader<Peer>) -> io::Result<()> {
    let mut count = 0;
    loop {
        let line = read_line(&mut peer);
        let output = &mut peer.get_mut().output;
        match line {
            Ok(Some(line)) if line == "QUIT" => {
                writeln!(output, "OK goodbye")?;
                return output.flush();
            }
            Ok(Some(line)) => {
                count += 1;
                match answer(&line, count) {
                    Ok(text) => writeln!(output, "OK {text}")?,
                    Err(text) => writeln!(output, "ERROR {text}")?,
                }
            }
            Ok(None) => return output.flush(),
            // This is not a line, and the beginning of the next one is unknown.
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                writeln!(output, "ERROR {error}")?;
                return output.flush();
            }
            Err(error) => return Err(error),
        }
    }
}

/// Reads a line, and returns it without its end, which is LF or CR LF. Returns None at the end of the input.
fn read_line(peer: &mut BufReader<Peer>) -> io::Result<Option<String>> {
    let invalid = |text: String| Err(io::Error::new(ErrorKind::InvalidData, text));
    let mut line = Vec::new();
    let count = peer.take(MAX_LINE).read_until(b'\n', &mut line)?;
    if count == 0 {
        return Ok(None);
    }
    if line.pop_if(|last| *last == b'\n').is_none() {
        return invalid(if count as u64 == MAX_LINE {
            format!("a line has at most {MAX_LINE} bytes")
        } else {
            "the last line has no end".to_owned()
        });
    }
    line.pop_if(|last| *last == b'\r');
    match String::from_utf8(line) {
        Ok(line) => Ok(Some(line)),
        Err(_) => invalid("a line is text in UTF-8".to_owned()),
    }
}

/// Executes a command, and returns its answer. `count` is the number of the command.
fn answer(line: &str, count: u64) -> Result<String, String> {
    let (command, argument) = line.split_once(' ').unwrap_or((line, ""));
    match command {
        "ADD" => add(argument),
        "COUNT" => Ok(count.to_string()),
        "ECHO" => Ok(argument.to_owned()),
        "HELP" => Ok(HELP.to_owned()),
        _ => Err(format!("there is no command {command:?}; there are {HELP}")),
    }
}

fn add(argument: &str) -> Result<String, String> {
    const USAGE: &str = "ADD takes two whole numbers, as in ADD 2 3";
    let (a, b) = argument.split_once(' ').ok_or(USAGE)?;
    let number = |text: &str| text.parse::<i64>().map_err(|_| USAGE);
    let sum = number(a)?.checked_add(number(b)?);
    Ok(sum.ok_or("the sum has more than 64 bits")?.to_string())
}

export!(Line);
