//! A small key-value service with Redis's protocol, RESP2, for clients such as `redis-cli` and
//! `redis-benchmark`. The keys and values of a connection are stored until it ends.

mod reply;
mod request;
mod store;

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
use reply::Reply;
use request::Request;
use std::io::{self, BufReader, BufWriter, ErrorKind, Read, Write};
use store::Store;

struct Kv;

impl exports::evconn::tcp::handler::Guest for Kv {
    fn handle(Connection { input, output, .. }: Connection) -> Result<(), String> {
        let output = BufWriter::new(output);
        let peer = BufReader::new(Peer { input, output });
        serve(peer).map_err(|error| error.to_string())
    }
}

/// Flushes the output before each read, so that the answers to requests that arrive together are sent together.
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
    let mut store = Store::default();
    loop {
        let request = Request::read(&mut peer);
        let output = &mut peer.get_mut().output;
        match request {
            Ok(Some(Request { name, .. })) if name.eq_ignore_ascii_case(b"QUIT") => {
                Reply::Simple("OK").write(output)?;
                return output.flush();
            }
            Ok(Some(Request { name, arguments })) => {
                store.execute(&name, &arguments).write(output)?;
            }
            Ok(None) => return output.flush(),
            // The beginning of the next request is unknown.
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                Reply::Error(format!("ERR Protocol error: {error}")).write(output)?;
                return output.flush();
            }
            Err(error) => return Err(error),
        }
    }
}

export!(Kv);
